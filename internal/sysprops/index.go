package sysprops

import "strings"

// indexSize is a power of two well above the number of names in one place.
const indexSize = 64

// Index finds properties by their names. Most names that are looked up are those of application properties and in no
// index, so a miss is told by one slot and seldom by comparing texts: this is the hot path of telemetry.
type Index struct{ slots [indexSize]slot }

// slot is a name, or empty when its property is None.
type slot struct {
	name     string
	property Property
}

// Known returns the names of system properties that readers know in one place and on any of ways. Those of HTTPS are in lower
// case.
func Known(place Place, ways Way) *Index {
	x := &Index{}
	for _, r := range table[place] {
		if r.ways&ways == 0 {
			continue
		}
		name := r.name
		if place == HTTPS {
			name = strings.ToLower(name)
		}
		i := hash(name)
		for x.slots[i].property != None && x.slots[i].name != name {
			i = (i + 1) % indexSize
		}
		x.slots[i] = slot{name, r.property}
	}
	return x
}

// Find returns the property of that name, or None.
func (x *Index) Find(name string) Property {
	if name == "" {
		return None
	}
	for i := hash(name); ; i = (i + 1) % indexSize {
		if s := &x.slots[i]; s.property == None || s.name == name {
			return s.property
		}
	}
}

// hash tells names apart by their length and two of their letters: those of one place differ there.
func hash(name string) uint {
	n := uint(len(name))
	return (n + 8*uint(name[n-1]) + 3*uint(name[n/2])) % indexSize
}
