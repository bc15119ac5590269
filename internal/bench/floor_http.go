package bench

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"
)

// ServeHTTPFloor answers each request over HTTPS on l with its body, and keeps nothing, until ctx ends: the floor of what a round
// trip through net/http costs. Its certificate is as ServeFloor's. It believes every client. It is for loopback: a client that dawdles is not ended.
func ServeHTTPFloor(ctx context.Context, l net.Listener, certificate *tls.Certificate) error {
	certificate, err := orThrowAway(certificate)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: http.HandlerFunc(echo), ReadHeaderTimeout: time.Minute}
	stop := context.AfterFunc(ctx, func() { server.Close() })
	defer stop()
	err = server.Serve(tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{*certificate}, NextProtos: []string{"http/1.1"}}))
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// ServeFloors serves both floors until ctx ends, or one of them fails; https may be nil.
func ServeFloors(ctx context.Context, mqtts, https net.Listener, certificate *tls.Certificate) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return ServeFloor(ctx, mqtts, certificate) })
	if https != nil {
		group.Go(func() error { return ServeHTTPFloor(ctx, https, certificate) })
	}
	return group.Wait()
}

func echo(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxFloorPacket))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Write(body)
}

// RunCalls makes InFlight calls at a time of what is no hub, and measures them as RunMethod does: Invoke gets an empty Device.
func RunCalls(ctx context.Context, o MethodOptions) (*Result, error) {
	o.Window, o.QoS, o.Devices = 1, 1, []Device{{}}
	if err := o.checkCalls(); err != nil {
		return nil, err
	}
	return measureWork(ctx, &o.Options, o.workers())
}
