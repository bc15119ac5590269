package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// Bounds of the writer, in jobs.
const (
	queueLimit = 1024 // waiting; further callers block
	groupLimit = 256  // in one transaction, so that the first of them does not wait for long
)

var (
	// errClosed is what a job gets that came too late.
	errClosed = errors.New("the store is closed")
	// errLost says that a transaction ended in the middle, with all that had run in it.
	errLost = errors.New("the transaction was lost")
)

// writer owns the one connection that writes. See the package comment.
type writer struct {
	// Set by startWriter, never changed after.
	db       *sql.DB
	dialect  *dialect
	told     func(took time.Duration) // of each transaction that was committed
	queue    chan *job
	finished chan []*job   // whose callers are to be told
	closing  chan struct{} // closed: take no new jobs
	ended    chan struct{} // closed: all callers were told

	closeOnce sync.Once
	entering  sync.RWMutex   // read-locked by who puts a job into the queue, so that none comes after its end
	waiting   sync.WaitGroup // goroutines of submitSoon; grows with entering read-locked

	// Touched only by the goroutine.
	direct   directStatements
	prepared map[string]*sql.Stmt // queries
	wanted   []string             // queries that a transaction used and prepared does not hold yet
	reported reportedCache
	// Memory for the events of a transaction, kept for the next one.
	batch, compressed []byte
}

// job is one caller's write.
type job struct {
	run   func(*writeTx) error
	one   bool            // run changes something by one statement at most, outbox and cache left aside
	taken atomic.Bool     // by the writer, which then runs it, or by its caller, who then has left
	done  func(err error) // called once when it is durable, or has failed and left nothing behind; must not block
	err   error           // touched by the writer alone
}

// startWriter starts the goroutines, which own db until close has returned.
func startWriter(db *sql.DB, d *dialect, told func(took time.Duration)) *writer {
	w := &writer{
		db:       db,
		dialect:  d,
		told:     told,
		queue:    make(chan *job, queueLimit),
		finished: make(chan []*job, 1),
		closing:  make(chan struct{}),
		ended:    make(chan struct{}),
		prepared: map[string]*sql.Stmt{},
	}
	go w.serve()
	go w.tellCallers()
	return w
}

// close refuses new jobs, lets those in the queue finish and waits for the goroutines.
func (w *writer) close() {
	w.closeOnce.Do(func() { close(w.closing) })
	<-w.ended
	w.waiting.Wait()
}

func (w *writer) isClosing() bool {
	select {
	case <-w.closing:
		return true
	default:
		return false
	}
}

// submit puts a job into the queue, in which it waits for a place until ctx ends. Without an error done follows.
func (w *writer) submit(ctx context.Context, j *job) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	w.entering.RLock()
	defer w.entering.RUnlock()
	if w.isClosing() {
		return errClosed
	}
	select {
	case w.queue <- j:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-w.closing:
		return errClosed
	}
}

// submitSoon is submit for who must not wait: while the queue is full, a goroutine does. done tells of all errors, perhaps before
// submitSoon returns.
func (w *writer) submitSoon(ctx context.Context, j *job) {
	if ctx.Err() == nil && w.trySubmit(j) {
		return
	}
	if !w.goWaiting(func() {
		if err := w.submit(ctx, j); err != nil {
			j.done(err)
		}
	}) {
		j.done(errClosed)
	}
}

// goWaiting runs wait on a goroutine that close waits for, unless close was called.
func (w *writer) goWaiting(wait func()) bool {
	w.entering.RLock()
	defer w.entering.RUnlock()
	if w.isClosing() {
		return false
	}
	w.waiting.Go(wait)
	return true
}

func (w *writer) trySubmit(j *job) bool {
	w.entering.RLock()
	defer w.entering.RUnlock()
	if w.isClosing() {
		return false
	}
	select {
	case w.queue <- j:
		return true
	default:
		return false
	}
}

// do runs a job in a transaction and returns when it is durable, or has failed and left nothing behind. It waits in the
// queue until ctx ends; a job that has begun is waited for whatever ctx says, because its outcome is not known before.
func (w *writer) do(ctx context.Context, j *job) error {
	done := make(chan error, 1)
	j.done = func(err error) { done <- err }
	if err := w.submit(ctx, j); err != nil {
		return err
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		if j.taken.CompareAndSwap(false, true) {
			return ctx.Err()
		}
	}
	return <-done
}

func (w *writer) serve() {
	defer close(w.finished)
	for {
		select {
		case j := <-w.queue:
			w.commit(w.gather(j))
		case <-w.closing:
			w.drain()
			w.closeDirect()
			return
		}
	}
}

func (w *writer) drain() {
	for n := w.last(); n > 0; n = len(w.queue) {
		w.commit(w.gather(<-w.queue))
	}
}

// last returns how many jobs are queued when whoever was about to put one there has done so or given up.
func (w *writer) last() int {
	w.entering.Lock()
	defer w.entering.Unlock()
	return len(w.queue)
}

// tellCallers tells those of one group while the next one is being written.
func (w *writer) tellCallers() {
	defer close(w.ended)
	for group := range w.finished {
		for _, j := range group {
			j.done(j.err)
		}
	}
}

// gather takes what is waiting now, up to the bound, and leaves out jobs whose callers have left.
func (w *writer) gather(first *job) []*job {
	var group []*job
	for j := first; ; {
		if j.taken.CompareAndSwap(false, true) {
			group = append(group, j)
		}
		if len(group) == groupLimit {
			return group
		}
		select {
		case j = <-w.queue:
		default:
			return group
		}
	}
}

// commit runs a group in one transaction and has its callers told. If the commit fails, so do all of them: nothing of
// theirs was stored. If another writer was in the way, all run again, and if one job cost the others their transaction,
// each in its own.
func (w *writer) commit(group []*job) {
	if len(group) == 0 {
		return
	}
	start := time.Now()
	err := w.dialect.insist(func() error { return w.transact(group) })
	if err == nil {
		w.told(time.Since(start))
	}
	if errors.Is(err, errLost) && len(group) > 1 {
		for _, j := range group {
			w.commit([]*job{j})
		}
		return
	}
	for _, j := range group {
		if j.err == nil {
			j.err = err
		}
	}
	w.finished <- group
	w.prepareWanted()
}

func (w *writer) transact(group []*job) error {
	conn, err := w.db.Conn(context.Background())
	if err != nil {
		return err
	}
	defer conn.Close() // gives it back
	tx, err := conn.BeginTx(context.Background(), nil)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	t := &writeTx{w: w, conn: conn, tx: tx, stmts: map[string]*sql.Stmt{}}
	if err := t.runAll(group); err != nil {
		tx.Rollback() // the engine may have done so already: its error says nothing new
		t.forgetCached(0)
		return err
	}
	if err := tx.Commit(); err != nil {
		t.forgetCached(0)
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

// prepareWanted keeps the queries that the last transaction had to prepare for itself. It comes after the
// transaction, which holds the only connection.
func (w *writer) prepareWanted() {
	for _, text := range w.wanted {
		if w.prepared[text] != nil {
			continue
		}
		if stmt, err := w.db.PrepareContext(context.Background(), text); err == nil {
			w.prepared[text] = stmt // otherwise the next transaction tries for itself, and reports
		}
	}
	w.wanted = w.wanted[:0]
}
