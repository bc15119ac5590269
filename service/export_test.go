package service

import (
	"net/http"
	"time"
)

// AnswerTimeouts are how long the clients of a Client wait for the header of an answer: of most calls, and of those that take as
// long as their context.
func AnswerTimeouts() (plain, patient time.Duration) {
	c, err := NewFromConnectionString("HostName=h;SharedAccessKeyName=p;SharedAccessKey=aaaa", nil)
	if err != nil {
		panic(err)
	}
	wait := func(c *http.Client) time.Duration { return c.Transport.(*http.Transport).ResponseHeaderTimeout }
	return wait(c.http), wait(c.patient)
}
