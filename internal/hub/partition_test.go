package hub_test

import (
	"testing"

	"github.com/hubward/hubward/internal/hub"
)

// Source: Azure/azure-sdk-for-js sdk/eventhub/event-hubs/src/impl/partitionKeyToIdMapper.ts; the first five are also in
// the tests of the SDK for .NET.
func TestPartitionOf_publishedVectors(t *testing.T) {
	rows := []struct {
		key             string
		n2, n4, n8, n32 int
	}{
		{"7", 1, 3, 7, 31},
		{"131", 0, 2, 2, 2},
		{"7149583486996073602", 1, 1, 1, 17},
		{"FWfAT", 1, 1, 5, 5},
		{"sOdeEAsyQoEuEFPGerWO", 1, 3, 7, 7},
		{"dev1", 1, 3, 7, 31},
		{"device-001", 0, 2, 6, 14},
		{"myDevice", 1, 3, 7, 15},
		{"sensor-42", 1, 1, 5, 13},
	}
	for _, r := range rows {
		for n, want := range map[int]int{2: r.n2, 4: r.n4, 8: r.n8, 32: r.n32} {
			if got := hub.PartitionOf(r.key, n); got != want {
				t.Errorf("PartitionOf(%q, %d) = %d, want %d", r.key, n, got, want)
			}
		}
	}
}
