package sqlstore

import (
	"context"
	"database/sql"
	"fmt"
)

// writeTx is the transaction that a job runs in. It is for the writer's goroutine only. Its calls take no context: the
// transaction is shared, and one caller's leaving must not end it for the others.
type writeTx struct {
	w     *writer
	conn  *sql.Conn // on which tx is
	tx    *sql.Tx
	stmts map[string]*sql.Stmt // queries of this transaction
	told  []toldEvent          // by the jobs that have not failed; stored at the end

	unchanged bool          // the writer's cache is known to be valid
	cached    []reportedKey // what the transaction has put into it
}

// runAll runs the jobs of a group, and stores what they have told. Its error costs the transaction.
func (t *writeTx) runAll(group []*job) error {
	for _, j := range group {
		if err := t.attempt(j); err != nil {
			return err
		}
	}
	if err := t.storeEvents(); err != nil {
		return fmt.Errorf("%w: %w", errLost, err)
	}
	return nil
}

// attempt runs j in a savepoint and sets its err. It returns errLost when the transaction itself is gone: on a full or
// failing disk the engine may roll all of it back, savepoints included. To go on would be to commit what comes after
// without what came before. It returns j's err when another writer was in j's way: then all of the group run again.
func (t *writeTx) attempt(j *job) error {
	if j.one && t.w.dialect.wholeStatements {
		return t.attemptOne(j)
	}
	if _, err := t.exec(`SAVEPOINT job`); err != nil {
		return fmt.Errorf("%w: %w", errLost, err)
	}
	told, cached := len(t.told), len(t.cached)
	j.err = t.guarded(j.run)
	if j.err != nil {
		if t.w.dialect.isConflict(j.err) {
			return j.err
		}
		t.told = t.told[:told]
		t.forgetCached(cached)
		if _, err := t.exec(`ROLLBACK TO job`); err != nil {
			return fmt.Errorf("%w: %w", errLost, err)
		}
	}
	if _, err := t.exec(`RELEASE job`); err != nil {
		return fmt.Errorf("%w: %w", errLost, err)
	}
	return nil
}

// attemptOne runs a job that needs no savepoint: its one statement is made or is not. Whether the transaction is still there
// when it is not, nobody says: so that counts as lost, and a job that shares it with others runs again alone.
func (t *writeTx) attemptOne(j *job) error {
	j.err = t.guarded(j.run)
	if j.err == nil || t.w.dialect.isConflict(j.err) {
		return j.err
	}
	return fmt.Errorf("%w: %w", errLost, j.err)
}

// forgetCached takes out of the writer's cache what came into it since there were n.
func (t *writeTx) forgetCached(n int) {
	for _, k := range t.cached[n:] {
		t.w.reported.drop(k)
	}
	t.cached = t.cached[:n]
}

// guarded turns a panic of a job, which runs its caller's code, into that job's error: the writer serves all the others
// too.
func (t *writeTx) guarded(run func(*writeTx) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic in a write: %v", p)
		}
	}()
	return run(t)
}

// row runs a query of at most one row, which has to be scanned before the next call. text is as for exec.
func (t *writeTx) row(text string, args ...any) (*sql.Row, error) {
	stmt, err := t.stmt(text)
	if err != nil {
		return nil, err
	}
	return stmt.QueryRow(args...), nil
}

// each runs a query and hands every row to visit, which makes no call of t. text is as for exec.
func (t *writeTx) each(visit func(scanner) error, text string, args ...any) error {
	stmt, err := t.stmt(text)
	if err != nil {
		return err
	}
	rows, err := stmt.Query(args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := visit(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

func (t *writeTx) stmt(text string) (*sql.Stmt, error) {
	if stmt := t.stmts[text]; stmt != nil {
		return stmt, nil
	}
	if kept := t.w.prepared[text]; kept != nil {
		stmt := t.tx.StmtContext(context.Background(), kept)
		t.stmts[text] = stmt
		return stmt, nil
	}
	stmt, err := t.tx.PrepareContext(context.Background(), text)
	if err != nil {
		return nil, err
	}
	t.stmts[text] = stmt
	t.w.wanted = append(t.w.wanted, text)
	return stmt, nil
}
