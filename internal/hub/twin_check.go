package hub

import (
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/hubward/hubward/internal/hub/twindoc"
)

// Check says what is wrong with a stored twin: with a section, the versions, or the history of its desired properties. It is for who
// looks for damage.
func (t *StoredTwin) Check() error {
	if t.ETag < 1 {
		return fmt.Errorf("the etag is %d", t.ETag)
	}
	if err := t.Tags.Check(twindoc.Tags); err != nil {
		return err
	}
	if err := t.Desired.Check(twindoc.Desired); err != nil {
		return err
	}
	if err := t.Reported.Check(twindoc.Reported); err != nil {
		return err
	}
	return t.checkChanges()
}

// checkChanges sees that the history has one change for each version up to that of the desired properties.
func (t *StoredTwin) checkChanges() error {
	for i := range t.DesiredChanges {
		c := &t.DesiredChanges[i]
		want := t.Desired.Version - int64(len(t.DesiredChanges)-1-i)
		if c.Version != want || want < 1 {
			return fmt.Errorf("%s: change %d of %d is of version %d, want %d", twindoc.Desired, i+1, len(t.DesiredChanges), c.Version, want)
		}
		if isNothing(c.Patch) {
			continue
		}
		if version := membersOf(c.Patch)["$version"]; !json.Valid(c.Patch) || version != json.Number(strconv.FormatInt(want, 10)) {
			return fmt.Errorf("%s: the change of version %d cannot be read", twindoc.Desired, want)
		}
	}
	return nil
}
