package service

import (
	"context"
	"net/http"

	"github.com/hubward/hubward"
)

// RegistryStatistics counts the hub's identities. The cloud service's counts lag behind, Hubward's are exact.
//
// Errors: CodeUnauthorizedAccess. Needs RegistryRead.
func (c *Client) RegistryStatistics(ctx context.Context) (hubward.RegistryStatistics, error) {
	var stats hubward.RegistryStatistics
	err := c.do(ctx, statistics("service.RegistryStatistics", "devices"), &stats)
	return stats, err
}

// ServiceStatistics counts the hub's connected devices.
//
// Errors: CodeUnauthorizedAccess. Needs ServiceConnect.
func (c *Client) ServiceStatistics(ctx context.Context) (hubward.ServiceStatistics, error) {
	var stats hubward.ServiceStatistics
	err := c.do(ctx, statistics("service.ServiceStatistics", "service"), &stats)
	return stats, err
}

func statistics(op, of string) *request {
	return &request{op: op, method: http.MethodGet, path: []string{"statistics", of}, version: APIVersion}
}
