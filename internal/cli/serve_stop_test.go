package cli

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestServe_endsThoughItsDiskHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		hang := make(chan struct{})
		ended := make(chan error)
		go func() {
			ended <- endWithin(ctx, stopTimeout, func() error {
				<-hang
				return nil
			})
		}()
		time.Sleep(time.Hour) // it serves
		begin := time.Now()
		cancel()
		if err := <-ended; err == nil || !strings.Contains(err.Error(), "cut off after 30s") || time.Since(begin) != stopTimeout {
			t.Errorf("after %s: %v", time.Since(begin), err)
		}
		close(hang)
	})
}

func TestServe_endsAsItsHubDoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		failure := errors.New("the disk is full")
		if err := endWithin(t.Context(), stopTimeout, func() error { return failure }); err != failure {
			t.Errorf("by itself: %v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		drain := func() error {
			time.Sleep(stopTimeout - time.Nanosecond)
			return failure
		}
		if err := endWithin(ctx, stopTimeout, drain); err != failure {
			t.Errorf("just in time: %v", err)
		}
	})
}
