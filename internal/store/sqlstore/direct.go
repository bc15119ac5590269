package sqlstore

import (
	"context"
	"database/sql/driver"
	"fmt"
)

// directStatements are statements that change something. The writer hands them to the driver itself: what database/sql does for
// each call, which could come from anywhere, with a context, on any connection, is a fifth of what a small update costs.
type directStatements struct {
	conn  driver.Conn // whose statements they are; there is another one only if the first one broke
	stmts map[string]driver.StmtExecContext
	args  []driver.NamedValue // of the call under way
}

// exec runs one statement. text is one of the program's constants: its statement is kept until the database is closed.
func (t *writeTx) exec(text string, args ...any) (driver.Result, error) {
	var result driver.Result
	err := t.conn.Raw(func(conn any) (err error) {
		result, err = t.w.direct.exec(conn.(driver.Conn), text, args)
		return err
	})
	return result, err
}

// change runs one statement and returns how many rows it has written. text is as for exec.
func (t *writeTx) change(text string, args ...any) (rows int64, err error) {
	result, err := t.exec(text, args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

func (d *directStatements) exec(conn driver.Conn, text string, args []any) (driver.Result, error) {
	stmt, err := d.stmt(conn, text)
	if err != nil {
		return nil, err
	}
	d.args = d.args[:0]
	for i, arg := range args {
		value, err := driver.DefaultParameterConverter.ConvertValue(arg)
		if err != nil {
			return nil, fmt.Errorf("argument %d: %w", i+1, err)
		}
		d.args = append(d.args, driver.NamedValue{Ordinal: i + 1, Value: value})
	}
	defer clear(d.args) // they may be large
	return stmt.ExecContext(context.Background(), d.args)
}

func (d *directStatements) stmt(conn driver.Conn, text string) (driver.StmtExecContext, error) {
	if d.conn != conn {
		d.conn, d.stmts = conn, make(map[string]driver.StmtExecContext)
	}
	if stmt := d.stmts[text]; stmt != nil {
		return stmt, nil
	}
	prepared, err := conn.Prepare(text)
	if err != nil {
		return nil, err
	}
	stmt, ok := prepared.(driver.StmtExecContext)
	if !ok {
		return nil, fmt.Errorf("statements of a driver of type %T take no context", conn)
	}
	d.stmts[text] = stmt
	return stmt, nil
}

// closeDirect closes the statements, which a connection does not do that is closed.
func (w *writer) closeDirect() {
	conn, err := w.db.Conn(context.Background())
	if err != nil {
		return // and its statements have gone with it
	}
	defer conn.Close()
	_ = conn.Raw(func(c any) error {
		if c != w.direct.conn {
			return nil
		}
		for _, stmt := range w.direct.stmts {
			_ = stmt.(driver.Stmt).Close() // says again what the last call has said
		}
		return nil
	})
}
