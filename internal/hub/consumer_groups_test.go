package hub_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/hubward/hubward"
)

func TestConsumerGroups_lifeCycle(t *testing.T) {
	f := newFixture(t)
	ctx := t.Context()
	for _, name := range []string{"b", "A.-_9", "B", "$default", "default", strings.Repeat("x", 50)} {
		if err := f.CreateConsumerGroup(ctx, "plant", name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	groups, err := f.ConsumerGroups("plant")
	if want := []string{"$Default", "b", "A.-_9", "default", strings.Repeat("x", 50)}; err != nil || !slices.Equal(groups, want) {
		t.Errorf("got %v, %v, want %v", groups, err, want)
	}
	for _, name := range []string{"", "a b", "a/b", "$x", "..", "a.", "-a", "ü", strings.Repeat("x", 51)} {
		wantCode(t, "create "+name, f.CreateConsumerGroup(ctx, "plant", name), hubward.CodeArgumentInvalid)
	}
	if err := f.DeleteConsumerGroup(ctx, "plant", "a.-_9"); err != nil {
		t.Error(err)
	}
	wantCode(t, "delete again", f.DeleteConsumerGroup(ctx, "plant", "A.-_9"), hubward.CodeNoSuchConsumerGroup)
	wantCode(t, "delete $default", f.DeleteConsumerGroup(ctx, "plant", "$DEFAULT"), hubward.CodeInvalidOperation)
	wantCode(t, "delete of no hub", f.DeleteConsumerGroup(ctx, "none", "b"), hubward.CodeNoSuchHub)
	wantCode(t, "create in no hub", f.CreateConsumerGroup(ctx, "none", "b"), hubward.CodeNoSuchHub)
	_, err = f.ConsumerGroups("none")
	wantCode(t, "list of no hub", err, hubward.CodeNoSuchHub)
}

func TestCreateConsumerGroup_bound(t *testing.T) {
	f := newFixture(t)
	for i := range 99 {
		if err := f.CreateConsumerGroup(t.Context(), "plant", fmt.Sprint("g", i)); err != nil {
			t.Fatal(err)
		}
	}
	wantCode(t, "the 101st group", f.CreateConsumerGroup(t.Context(), "plant", "g99"), hubward.CodeQuotaExceeded)
	if err := f.CreateConsumerGroup(t.Context(), "plant", "G7"); err != nil {
		t.Errorf("one that is there: %v", err)
	}
}
