package hubward_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hubward/hubward"
)

func TestProperties_Get(t *testing.T) {
	p := hubward.Properties{{Name: "a", Value: "1"}, {Name: "null", Null: true}, {Name: "a", Value: "2"}, {Name: "", Value: "nameless"}}
	for name, want := range map[string]string{"a": "2", "null": "", "": "nameless"} {
		if got, ok := p.Get(name); got != want || !ok {
			t.Errorf("%q: %q, %t", name, got, ok)
		}
	}
	if got, ok := p.Get("A"); got != "" || ok {
		t.Errorf("of another case: %q, %t", got, ok)
	}
	if got, ok := hubward.Properties(nil).Get("a"); got != "" || ok {
		t.Errorf("of none: %q, %t", got, ok)
	}
}

func TestProperties_Set(t *testing.T) {
	var m hubward.Message
	m.Properties.Set("a", "1")
	m.Properties.Set("b", "2")
	m.Properties.Set("a", "3")
	if diff := cmp.Diff(hubward.Properties{{Name: "a", Value: "3"}, {Name: "b", Value: "2"}}, m.Properties); diff != "" {
		t.Error(diff)
	}
	m.Properties = hubward.Properties{{Name: "x"}, {Name: "a", Null: true}, {Name: "y"}, {Name: "a", Value: "2"}, {Name: "z"}, {Name: "a"}}
	m.Properties.Set("a", "")
	if diff := cmp.Diff(hubward.Properties{{Name: "x"}, {Name: "a"}, {Name: "y"}, {Name: "z"}}, m.Properties); diff != "" {
		t.Error(diff)
	}
}

func ExampleProperties() {
	m := &hubward.Message{Body: []byte("{}")}
	m.Properties.Set("room", "kitchen")
	m.Properties.Set("room", "attic")
	room, ok := m.Properties.Get("room")
	fmt.Println(room, ok)
	// Output: attic true
}
