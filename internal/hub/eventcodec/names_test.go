package eventcodec

import (
	"testing"

	"github.com/hubward/hubward/internal/sysprops"
)

// A record names system properties in code, as a disk format does; the names are those of the table.
func TestNames_areThoseOfTheTable(t *testing.T) {
	for place, names := range map[sysprops.Place][]string{
		sysprops.AMQPAnnotation:  {nameSubject, nameInterface, nameOutput, nameTrace, nameTraceValues},
		sysprops.AMQPApplication: {nameCreationTime, nameSchema},
	} {
		known := sysprops.Known(place, sysprops.ToReader)
		for _, name := range names {
			if known.Find(name) == sysprops.None {
				t.Errorf("the table does not know %s", name)
			}
		}
		if written := sysprops.Written(place, sysprops.ToReader); len(written) != len(names) {
			t.Errorf("the table has %d names, a record %d", len(written), len(names))
		}
	}
}
