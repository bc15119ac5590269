package hub_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
)

const allDevices = "SELECT * FROM devices"

// query asks for one page.
func (f *fixture) query(q hub.Query) (ids []string, continuation string, err error) {
	page, err := f.Query(f.t.Context(), f.of("plant"), q)
	for i := range page.Twins {
		ids = append(ids, page.Twins[i].DeviceID)
	}
	return ids, page.Continuation, err
}

func TestQuery_pages(t *testing.T) {
	f := newFixture(t)
	var want []string
	for i := range 201 {
		want = append(want, f.createDevice(fmt.Sprintf("d%03d", i)).DeviceID)
	}
	for _, test := range []struct{ most, page int }{{0, 100}, {1, 1}, {99, 99}, {100, 100}, {101, 100}, {1 << 40, 100}} {
		var got []string
		q := hub.Query{Text: allDevices, MaxItems: test.most}
		for {
			ids, next, err := f.query(q)
			if err != nil || len(ids) != test.page && next != "" || len(ids) == 0 {
				t.Fatalf("at most %d: %d rows, next %q, %v", test.most, len(ids), next, err)
			}
			got = append(got, ids...)
			if next == "" {
				break
			}
			again, _, err := f.query(q) // it may be asked twice
			if diff := cmp.Diff(ids, again); diff != "" || err != nil {
				t.Fatal(err, diff)
			}
			q.Continuation = next
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("at most %d: %s", test.most, diff)
		}
	}
}

// A last page that is full has no continuation: clients fail on the empty page behind it.
func TestQuery_lastPage(t *testing.T) {
	f := newFixture(t)
	if ids, next, err := f.query(hub.Query{Text: allDevices}); err != nil || ids != nil || next != "" {
		t.Errorf("an empty hub: %v, %q, %v", ids, next, err)
	}
	f.createDevice("a")
	f.createDevice("b")
	for most, more := range map[int]bool{1: true, 2: false, 3: false} {
		if ids, next, err := f.query(hub.Query{Text: allDevices, MaxItems: most}); err != nil || len(ids) != min(most, 2) || (next != "") != more {
			t.Errorf("at most %d: %v, %q, %v", most, ids, next, err)
		}
	}
}

// A page of large twins is shorter than it may be, and none is lost or given twice.
func TestQuery_largeTwins(t *testing.T) {
	f := newFixture(t)
	var members []string
	for i := range 1800 { // which say of themselves when they were written
		members = append(members, fmt.Sprintf(`"n%04d":1`, i))
	}
	var want []string
	for i := range 60 {
		id := fmt.Sprintf("d%02d", i)
		f.createDevice(id)
		f.patchTwin(id, "", "{"+strings.Join(members, ",")+"}")
		want = append(want, id)
	}
	var got []string
	pages := 0
	for q := (hub.Query{Text: allDevices}); ; pages++ {
		page, err := f.Query(t.Context(), f.of("plant"), q)
		if err != nil {
			t.Fatal(err)
		}
		size := 0
		for _, twin := range page.Twins {
			got = append(got, twin.DeviceID)
			size += len(twin.Properties.Desired)
		}
		if size > 5<<20 || len(page.Twins) == 0 {
			t.Errorf("a page of %d twins with %d bytes", len(page.Twins), size)
		}
		if q.Continuation = page.Continuation; q.Continuation == "" {
			break
		}
	}
	if diff := cmp.Diff(want, got); diff != "" || pages == 0 {
		t.Errorf("%d pages, %s", pages+1, diff)
	}
}

func TestQuery_texts(t *testing.T) {
	f := newFixture(t)
	long := allDevices + strings.Repeat(" ", 8192-len(allDevices))
	for text, code := range map[string]hubward.Code{
		allDevices: 0, "select * from devices": 0, " SELECT\t*\nFROM Devices ": 0, "Select*From devices": 0,
		long: 0, long[1:]: hubward.CodeInvalidOperation, long[:8191]: 0, long + " ": hubward.CodeArgumentInvalid,
		"": hubward.CodeArgumentInvalid, "  ": hubward.CodeArgumentInvalid,
		"SELECT * FROM devices WHERE 1 = 1": hubward.CodeInvalidOperation, "SELECT * FROM devices.modules": hubward.CodeInvalidOperation,
		"SELECT * FROM devices;": hubward.CodeInvalidOperation, "SELECT deviceId FROM devices": hubward.CodeInvalidOperation,
		"SELECT ** FROM devices": hubward.CodeInvalidOperation, "SELECT TOP 2 * FROM devices": hubward.CodeInvalidOperation, "x": hubward.CodeInvalidOperation,
		// Characters are counted, not bytes.
		strings.Repeat("é", 8192): hubward.CodeInvalidOperation, strings.Repeat("é", 8193): hubward.CodeArgumentInvalid,
	} {
		_, _, err := f.query(hub.Query{Text: text})
		if code == 0 && err != nil || code != 0 && hubward.CodeOf(err) != code {
			t.Errorf("%.60q (%d bytes): %v, want %v", text, len(text), err, code)
		}
	}
	_, _, err := f.query(hub.Query{Text: allDevices, MaxItems: -1})
	wantCode(t, "a page of -1", err, hubward.CodeArgumentInvalid)
}

func FuzzContinuation(f *testing.F) {
	for _, seed := range []string{"", "ZGV2aWNlcz5h", "ZGV2aWNlcz4", "x", "====", "ZGV2aWNlcz7_", hub.NewContinuation(strings.Repeat("d", 128))} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		after, err := hub.ParseContinuation(text)
		if err != nil {
			if hubward.CodeOf(err) != hubward.CodeArgumentInvalid || after != "" {
				t.Errorf("%q: %q, %v", text, after, err)
			}
			return
		}
		if text != "" && hubward.ValidateID(after) != nil {
			t.Errorf("%q is behind no device: %q", text, after)
		}
		if again, err := hub.ParseContinuation(hub.NewContinuation(after)); text != "" && (again != after || err != nil) {
			t.Errorf("%q became %q, %v", after, again, err)
		}
	})
}

func FuzzIsAllDevices(f *testing.F) {
	for _, seed := range []string{allDevices, "select*from devices", "SELECT * FROM devices WHERE x", "", "**"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if hub.IsAllDevices(text) != hub.IsAllDevices(" "+text+"\n") || hub.IsAllDevices(text) && hub.IsAllDevices(text+"x") {
			t.Errorf("%q", text)
		}
	})
}
