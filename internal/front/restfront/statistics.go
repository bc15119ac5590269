package restfront

import "net/http"

// registryStatistics answers with counts that are exact.
func registryStatistics(c *call) error {
	stats, err := c.server.hub.DeviceStatistics(c.ctx, &c.principal)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, stats)
}

func serviceStatistics(c *call) error {
	stats, err := c.server.hub.ServiceStatistics(c.ctx, &c.principal)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, stats)
}
