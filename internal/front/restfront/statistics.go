package restfront

import "net/http"

// registryStatistics is S1. Its counts are exact.
func registryStatistics(c *call) error {
	stats, err := c.server.hub.DeviceStatistics(c.r.Context(), c.hub)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, stats)
}

// serviceStatistics is S2.
func serviceStatistics(c *call) error {
	stats, err := c.server.hub.ServiceStatistics(c.hub)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, stats)
}
