package restfront

import (
	"net/http"
	"strconv"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
)

// query answers with a page of a query's rows. The header of the next page is left out on the last one: clients take an empty
// one for another page.
//
// Source: learn.microsoft.com/rest/api/iothub/service/query/get-twins; Azure/azure-iot-sdk-csharp
// iothub/service/src/DeviceTwin/QueryResult.cs, which wants the type of the rows spelt so.
func query(c *call) error {
	body, err := c.readBody(maxBody)
	if err != nil {
		return err
	}
	var q struct {
		Query string `json:"query"`
	}
	if err := decode(body, &q); err != nil {
		return err
	}
	most, err := c.maxItems()
	if err != nil {
		return err
	}
	page, err := c.server.hub.Query(c.ctx, &c.principal, hub.Query{
		Text: q.Query, Continuation: c.r.Header.Get("x-ms-continuation"), MaxItems: most,
	})
	if err != nil {
		return err
	}
	rows := page.Twins
	if rows == nil {
		rows = []hubward.Twin{} // an array, never null
	}
	c.setHeader("x-ms-item-type", "Twin")
	if page.Continuation != "" {
		c.setHeader("x-ms-continuation", page.Continuation)
	}
	return c.answer(http.StatusOK, rows)
}

// maxItems is how many rows a page may have, 0 when the client does not say.
func (c *call) maxItems() (int, error) {
	text := c.r.Header.Get("x-ms-max-item-count")
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(text, 10, 31)
	if err != nil || n == 0 {
		return 0, hubward.Errorf(hubward.CodeArgumentInvalid, "x-ms-max-item-count: %.20q is no number of rows", text)
	}
	return int(n), nil
}
