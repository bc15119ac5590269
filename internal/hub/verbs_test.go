package hub_test

import (
	"reflect"

	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/hub/access"
)

// verbsWithPrincipal are the names of the exported methods of a Hub that take a principal.
func verbsWithPrincipal() (names []string) {
	principal := reflect.TypeFor[*access.Principal]()
	of := reflect.TypeFor[*hub.Hub]()
	for i := range of.NumMethod() {
		m := of.Method(i)
		for k := range m.Type.NumIn() {
			if m.Type.In(k) == principal {
				names = append(names, m.Name)
			}
		}
	}
	return names
}
