package service

import (
	"context"
	"encoding/json"
	"iter"
	"net/http"
)

// Query gives the rows of a query as the hub writes them, page by page: twins for SELECT * FROM devices, objects of what was
// selected otherwise. A Hubward hub has that one query so far, and refuses others. An error is the last thing that it gives.
//
// Errors: CodeArgumentInvalid and CodeInvalidOperation say what is wrong with the query; CodeUnauthorizedAccess. Needs
// ServiceConnect.
//
// Source: learn.microsoft.com/rest/api/iothub/service/query/get-twins.
func (c *Client) Query(ctx context.Context, query string) iter.Seq2[json.RawMessage, error] {
	return func(yield func(json.RawMessage, error) bool) {
		for next := ""; ; {
			rows, more, err := c.queryPage(ctx, query, next)
			if err != nil {
				yield(nil, err)
				return
			}
			for _, row := range rows {
				if !yield(row, nil) {
					return
				}
			}
			if next = more; next == "" {
				return
			}
		}
	}
}

// queryPage returns one page, and what the next one is asked for with, "" for none.
func (c *Client) queryPage(ctx context.Context, query, continuation string) (rows []json.RawMessage, next string, err error) {
	r := &request{
		op: "service.Query", method: http.MethodPost, path: []string{"devices", "query"}, version: APIVersion,
		body: map[string]string{"query": query},
	}
	if continuation != "" {
		r.header = http.Header{"X-Ms-Continuation": {continuation}}
	}
	res, err := c.open(ctx, r)
	if err != nil {
		return nil, "", err
	}
	defer res.Body.Close()
	err = c.decode(r, res, &rows)
	return rows, res.Header.Get("x-ms-continuation"), err
}
