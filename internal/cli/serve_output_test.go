package cli

import (
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"
)

func TestLossyWriter_nobodyReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, to := io.Pipe()
		defer r.Close()
		w := newLossyWriter(to)
		defer w.close()
		began := time.Now()
		for i := range 100 {
			if n, err := fmt.Fprint(w, i); err != nil || n == 0 {
				t.Fatal(n, err)
			}
		}
		if d := time.Since(began); d != outputWait { // of the first; the others do not wait for it
			t.Errorf("100 writes that nobody reads took %v", d)
		}
		read := func() string {
			b := make([]byte, 10)
			n, err := r.Read(b)
			if err != nil {
				t.Fatal(err)
			}
			return string(b[:n])
		}
		if got := read(); got != "0" {
			t.Errorf("read %q", got)
		}
		synctest.Wait()
		go fmt.Fprint(w, "later")
		if got := read(); got != "later" { // there is a reader again
			t.Errorf("read %q", got)
		}
		synctest.Wait()
	})
}

type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, errors.New("broken pipe") }

func TestLossyWriter_failuresAreLost(t *testing.T) {
	w := newLossyWriter(failingWriter{})
	defer w.close()
	for range 3 {
		if n, err := w.Write([]byte("line\n")); n != 5 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
	}
}
