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
	tx    *sql.Tx
	stmts map[string]*sql.Stmt // of this transaction
	told  []toldEvent          // by the jobs that have not failed; stored at the end
}

// attempt runs j in a savepoint and sets its err. It returns errLost when the transaction itself is gone: on a full or
// failing disk the engine may roll all of it back, savepoints included. To go on would be to commit what comes after
// without what came before. It returns j's err when another writer was in j's way: then all of the group run again.
func (t *writeTx) attempt(j *job) error {
	if _, err := t.exec(`SAVEPOINT job`); err != nil {
		return fmt.Errorf("%w: %w", errLost, err)
	}
	told := len(t.told)
	j.err = t.guarded(j.run)
	if j.err != nil {
		t.told = t.told[:told]
		if t.w.dialect.isConflict(j.err) {
			return j.err
		}
		if _, err := t.exec(`ROLLBACK TO job`); err != nil {
			return fmt.Errorf("%w: %w", errLost, err)
		}
	}
	if _, err := t.exec(`RELEASE job`); err != nil {
		return fmt.Errorf("%w: %w", errLost, err)
	}
	return nil
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

// exec runs one statement. text is one of the program's constants: its statement is kept until the database is closed.
func (t *writeTx) exec(text string, args ...any) (sql.Result, error) {
	stmt, err := t.stmt(text)
	if err != nil {
		return nil, err
	}
	return stmt.Exec(args...)
}

// change runs one statement and returns how many rows it has written. text is as for exec.
func (t *writeTx) change(text string, args ...any) (rows int64, err error) {
	result, err := t.exec(text, args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
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
