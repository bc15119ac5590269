package amqpwire_test

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hubward/hubward/internal/amqpwire"
)

type (
	list      = amqpwire.List
	mapping   = amqpwire.Map
	array     = amqpwire.Array
	symbol    = amqpwire.Symbol
	described = amqpwire.Described
)

var long = strings.Repeat("x", 256)

// forms are values as they are written, by hand from AMQP 1.0 part 1 §1.6.
var forms = map[string]struct {
	value any
	wire  string
}{
	"null":             {nil, "\x40"},
	"true":             {true, "\x41"},
	"false":            {false, "\x42"},
	"ubyte":            {uint8(255), "\x50\xff"},
	"ushort":           {uint16(0x0102), "\x60\x01\x02"},
	"uint 0":           {uint32(0), "\x43"},
	"small uint":       {uint32(255), "\x52\xff"},
	"uint":             {uint32(256), "\x70\x00\x00\x01\x00"},
	"ulong 0":          {uint64(0), "\x44"},
	"small ulong":      {uint64(255), "\x53\xff"},
	"ulong":            {uint64(math.MaxUint64), "\x80\xff\xff\xff\xff\xff\xff\xff\xff"},
	"byte":             {int8(-1), "\x51\xff"},
	"short":            {int16(-2), "\x61\xff\xfe"},
	"small int":        {int32(-128), "\x54\x80"},
	"int":              {int32(200), "\x71\x00\x00\x00\xc8"},
	"small long":       {int64(127), "\x55\x7f"},
	"long":             {int64(-129), "\x81\xff\xff\xff\xff\xff\xff\xff\x7f"},
	"float":            {float32(1), "\x72\x3f\x80\x00\x00"},
	"double":           {float64(-2), "\x82\xc0\x00\x00\x00\x00\x00\x00\x00"},
	"decimal32":        {amqpwire.Decimal("\x22\x50\x00\x01"), "\x74\x22\x50\x00\x01"},
	"decimal64":        {amqpwire.Decimal("12345678"), "\x8412345678"},
	"decimal128":       {amqpwire.Decimal("1234567812345678"), "\x941234567812345678"},
	"char":             {amqpwire.Char('é'), "\x73\x00\x00\x00\xe9"},
	"timestamp":        {time.UnixMilli(1).UTC(), "\x83\x00\x00\x00\x00\x00\x00\x00\x01"},
	"before the epoch": {time.UnixMilli(-1).UTC(), "\x83\xff\xff\xff\xff\xff\xff\xff\xff"},
	"uuid":             {amqpwire.UUID([]byte("0123456789abcdef")), "\x980123456789abcdef"},
	"binary":           {[]byte("\x00\x01"), "\xa0\x02\x00\x01"},
	"empty binary":     {[]byte{}, "\xa0\x00"},
	"long binary":      {[]byte(long), "\xb0\x00\x00\x01\x00" + long},
	"string":           {"é", "\xa1\x02\xc3\xa9"},
	"long string":      {long, "\xb1\x00\x00\x01\x00" + long},
	"symbol":           {symbol("s"), "\xa3\x01s"},
	"long symbol":      {symbol(long), "\xb3\x00\x00\x01\x00" + long},
	"empty list":       {list{}, "\xc0\x01\x00"},
	"list":             {list{nil, "a"}, "\xc0\x05\x02\x40\xa1\x01a"},
	"long list":        {list{long}, "\xd0\x00\x00\x01\x09\x00\x00\x00\x01\xb1\x00\x00\x01\x00" + long},
	"empty map":        {mapping{}, "\xc1\x01\x00"},
	"map":              {mapping{{symbol("k"), int32(1)}}, "\xc1\x06\x02\xa3\x01k\x54\x01"},
	"long map":         {mapping{{long, true}}, "\xd1\x00\x00\x01\x0a\x00\x00\x00\x02\xb1\x00\x00\x01\x00" + long + "\x41"},
	"array of symbol":  {array{symbol("ab"), symbol("")}, "\xe0\x06\x02\xa3\x02ab\x00"},
	"of long symbols": {array{symbol("a"), symbol(long)},
		"\xf0\x00\x00\x01\x0e\x00\x00\x00\x02\xb3\x00\x00\x00\x01a\x00\x00\x01\x00" + long},
	"array of uint":    {array{uint32(0), uint32(1)}, "\xe0\x0a\x02\x70\x00\x00\x00\x00\x00\x00\x00\x01"},
	"array of boolean": {array{true, false}, "\xe0\x04\x02\x56\x01\x00"},
	"array of null":    {array{nil, nil}, "\xe0\x02\x02\x40"},
	"array of list": {array{list{}, list{true}},
		"\xe0\x13\x02\xd0\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00\x00\x05\x00\x00\x00\x01\x41"},
	"array of map":       {array{mapping{{"a", nil}}}, "\xe0\x0e\x01\xd1\x00\x00\x00\x08\x00\x00\x00\x02\xa1\x01a\x40"},
	"array of array":     {array{array{uint8(7)}}, "\xe0\x0c\x01\xf0\x00\x00\x00\x06\x00\x00\x00\x01\x50\x07"},
	"array of no array":  {array{array{}}, "\xe0\x0b\x01\xf0\x00\x00\x00\x05\x00\x00\x00\x00\xa1"},
	"array of described": {array{described{uint64(0x24), uint8(1)}, described{uint64(0x24), uint8(2)}}, "\xe0\x07\x02\x00\x53\x24\x50\x01\x02"},
	"described":          {described{uint64(0x24), list{}}, "\x00\x53\x24\xc0\x01\x00"},
	"by a symbol":        {described{symbol("x"), "v"}, "\x00\xa3\x01x\xa1\x01v"},
	"by a large ulong":   {described{uint64(0x468c00000004), "v"}, "\x00\x80\x00\x00\x46\x8c\x00\x00\x00\x04\xa1\x01v"},
}

func TestAppendValue(t *testing.T) {
	for name, f := range forms {
		if got, err := amqpwire.AppendValue([]byte("p"), f.value); err != nil || string(got) != "p"+f.wire {
			t.Errorf("%s: %x, %v, want %x", name, got, err, f.wire)
		}
	}
}

func TestReader_Value(t *testing.T) {
	for name, f := range forms {
		r := amqpwire.NewReader([]byte(f.wire + "\x41"))
		if diff := cmp.Diff(f.value, r.Value()); diff != "" || r.Err() != nil {
			t.Errorf("%s: %v (-want +got)\n%s", name, r.Err(), diff)
		}
		if !r.Bool() {
			t.Errorf("%s: %x left, %v", name, r.Rest(), r.Err())
		}
		r.Reset([]byte(f.wire + "\x41"))
		if r.Skip(); !r.Bool() {
			t.Errorf("%s: Skip left %x, %v", name, r.Rest(), r.Err())
		}
		for n := range len(f.wire) {
			r := amqpwire.NewReader([]byte(f.wire[:n]))
			if v := r.Value(); r.Err() == nil {
				t.Errorf("%s: %d bytes of it read as %v", name, n, v)
			}
			r.Reset([]byte(f.wire[:n]))
			if r.Skip(); !errors.Is(r.Err(), amqpwire.ErrShort) {
				t.Errorf("%s: Skip of %d bytes: %v", name, n, r.Err())
			}
		}
	}
}

// Forms that are read and never written.
func TestReader_Value_otherForms(t *testing.T) {
	rows := map[string]struct {
		wire  string
		value any
	}{
		"wide uint":              {"\x70\x00\x00\x00\x00", uint32(0)},
		"wide ulong":             {"\x80\x00\x00\x00\x00\x00\x00\x00\x01", uint64(1)},
		"wide int":               {"\x71\xff\xff\xff\xff", int32(-1)},
		"wide long":              {"\x81\x00\x00\x00\x00\x00\x00\x00\x01", int64(1)},
		"boolean of a byte":      {"\x56\x01", true},
		"false of a byte":        {"\x56\x00", false},
		"list0":                  {"\x45", list{}},
		"list32":                 {"\xd0\x00\x00\x00\x05\x00\x00\x00\x01\x43", list{uint32(0)}},
		"map32":                  {"\xd1\x00\x00\x00\x06\x00\x00\x00\x02\x41\x42", mapping{{true, false}}},
		"str32":                  {"\xb1\x00\x00\x00\x01a", "a"},
		"array32":                {"\xf0\x00\x00\x00\x06\x00\x00\x00\x01\x50\x07", array{uint8(7)}},
		"array of small uint":    {"\xe0\x04\x02\x52\x01\x02", array{uint32(1), uint32(2)}},
		"array of uint0":         {"\xe0\x02\x03\x43", array{uint32(0), uint32(0), uint32(0)}},
		"array of true":          {"\xe0\x02\x01\x41", array{true}},
		"array of list0":         {"\xe0\x02\x02\x45", array{list{}, list{}}},
		"array of list8":         {"\xe0\x05\x01\xc0\x02\x01\x41", array{list{true}}},
		"empty array":            {"\xe0\x02\x00\xa1", array{}},
		"array without anything": {"\xe0\x01\x00", array{}},
		"described array":        {"\xe0\x07\x01\x00\xa3\x01x\x50\x01", array{described{symbol("x"), uint8(1)}}},
		"wide descriptor":        {"\x00\x80\x00\x00\x00\x00\x00\x00\x00\x24\x45", described{uint64(0x24), list{}}},
	}
	for name, row := range rows {
		r := amqpwire.NewReader([]byte(row.wire))
		if diff := cmp.Diff(row.value, r.Value()); diff != "" || r.Err() != nil || r.More() {
			t.Errorf("%s: %v, %x left (-want +got)\n%s", name, r.Err(), r.Rest(), diff)
		}
	}
}

func TestReader_Value_refuses(t *testing.T) {
	rows := map[string]struct {
		wire string
		want error
	}{
		"an unknown constructor":           {"\x4f", amqpwire.ErrType},
		"another":                          {"\x10", amqpwire.ErrType},
		"a boolean of 2":                   {"\x56\x02", amqpwire.ErrRange},
		"a list of more than its bytes":    {"\xc0\x02\x02\x41\x41", amqpwire.ErrCount},
		"a list of less than its bytes":    {"\xc0\x03\x01\x41\x41", amqpwire.ErrCount},
		"an element behind the list's end": {"\xc0\x02\x01\x70\x00\x00\x00\x00", amqpwire.ErrShort},
		"a list without a count":           {"\xc0\x00", amqpwire.ErrShort},
		"a map of three":                   {"\xc1\x04\x03\x41\x41\x41", amqpwire.ErrCount},
		"a huge list":                      {"\xd0\x00\x00\x00\x04\xff\xff\xff\xff", amqpwire.ErrCount},
		"a huge array of nothing":          {"\xf0\x00\x00\x00\x05\xff\xff\xff\xff\x41", amqpwire.ErrCount},
		"257 times nothing":                {"\xf0\x00\x00\x00\x05\x00\x00\x01\x01\x43", amqpwire.ErrCount},
		"a huge array":                     {"\xf0\x00\x00\x00\x05\xff\xff\xff\xff\x50", amqpwire.ErrCount},
		"an array without a constructor":   {"\xe0\x01\x01", amqpwire.ErrShort},
		"an array of doubly described":     {"\xe0\x07\x01\x00\x53\x01\x00\x53\x01\x50\x01", amqpwire.ErrType},
		"a deep list":                      {nested(33), amqpwire.ErrDepth},
		"a deep description":               {strings.Repeat("\x00", 40), amqpwire.ErrDepth},
		"many lists that claim much":       {greedy(), amqpwire.ErrCount},
	}
	for name, row := range rows {
		r := amqpwire.NewReader([]byte(row.wire))
		if v := r.Value(); v != nil || !errors.Is(r.Err(), row.want) {
			t.Errorf("%s: %v, %v, want %v", name, v, r.Err(), row.want)
		}
	}
	r := amqpwire.NewReader([]byte(nested(32)))
	if r.Value(); r.Err() != nil {
		t.Errorf("32 lists: %v", r.Err())
	}
	r.Reset([]byte(strings.Repeat("\x00", 100)))
	if r.Skip(); !errors.Is(r.Err(), amqpwire.ErrDepth) {
		t.Errorf("Skip of a deep description: %v", r.Err())
	}
}

// nested returns depth lists inside one another.
func nested(depth int) string {
	wire := "\x41"
	for range depth {
		wire = "\xd0" + size32(len(wire)+4) + size32(1) + wire
	}
	return wire
}

// greedy returns lists inside one another that each claim as many elements as they have bytes.
func greedy() string {
	wire := strings.Repeat("\x41", 1000)
	for range 30 {
		wire = "\xd0" + size32(len(wire)+4) + size32(len(wire)) + wire
	}
	return wire
}

func size32(n int) string {
	return string([]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
}

func TestReader_Value_boundsTheElementsOfOneInput(t *testing.T) {
	half := make(list, 32_768)
	wire, err := amqpwire.AppendValue(nil, list{half, half})
	if err != nil {
		t.Fatal(err)
	}
	r := amqpwire.NewReader(wire)
	if r.Value(); !errors.Is(r.Err(), amqpwire.ErrCount) {
		t.Errorf("65,538 elements: %v", r.Err())
	}
	wire, _ = amqpwire.AppendValue(nil, half)
	wire, _ = amqpwire.AppendValue(wire, half)
	r.Reset(wire)
	if a, b := r.Value(), r.Value(); r.Err() != nil || len(a.(list))+len(b.(list)) != 65_536 {
		t.Errorf("65,536 elements: %v", r.Err())
	}
	r.Reset([]byte("\xc0\x83\x80" + strings.Repeat("\xe0\x02\x80\x43", 32) + strings.Repeat("\x40", 96)))
	if r.Value(); !errors.Is(r.Err(), amqpwire.ErrCount) {
		t.Errorf("arrays of 4,096 elements without bytes: %v", r.Err())
	}
}

func TestAppendValue_refuses(t *testing.T) {
	deep := any(list{})
	for range 32 {
		deep = list{deep}
	}
	rows := map[string]struct {
		value any
		want  error
	}{
		"an int":                  {1, amqpwire.ErrType},
		"an int in a list":        {list{1}, amqpwire.ErrType},
		"an int in a map":         {mapping{{"k", 1}}, amqpwire.ErrType},
		"an int for a key":        {mapping{{1, "v"}}, amqpwire.ErrType},
		"a decimal of 5":          {amqpwire.Decimal("12345"), amqpwire.ErrType},
		"a mixed array":           {array{"a", symbol("a")}, amqpwire.ErrType},
		"a mixed array of widths": {array{uint32(1), uint64(1)}, amqpwire.ErrType},
		"mixed descriptions":      {array{described{uint64(1), nil}, described{uint64(2), nil}}, amqpwire.ErrType},
		"half described":          {array{described{uint64(1), nil}, nil}, amqpwire.ErrType},
		"doubly described":        {array{described{uint64(1), described{uint64(1), nil}}}, amqpwire.ErrType},
		"a deep list":             {deep, amqpwire.ErrDepth},
		"a deep array":            {array{deep}, amqpwire.ErrDepth},
	}
	for name, row := range rows {
		if got, err := amqpwire.AppendValue([]byte("p"), row.value); !errors.Is(err, row.want) || string(got) != "p" {
			t.Errorf("%s: %x, %v, want %v", name, got, err, row.want)
		}
	}
}

func TestAppendValue_nilIsNull(t *testing.T) {
	for _, v := range []any{list(nil), mapping(nil), array(nil), array{}, amqpwire.Decimal(nil), []byte(nil)} {
		if got, err := amqpwire.AppendValue(nil, v); err != nil || string(got) != "\x40" {
			t.Errorf("%T: %x, %v", v, got, err)
		}
	}
}

func TestInteger(t *testing.T) {
	for _, v := range []any{int8(7), int16(7), int32(7), int64(7), uint8(7), uint16(7), uint32(7), uint64(7)} {
		if n, ok := amqpwire.Integer(v); n != 7 || !ok {
			t.Errorf("%T: %d, %v", v, n, ok)
		}
	}
	for _, v := range []any{nil, 7, "7", 7.0, uint64(1 << 63), amqpwire.Char(7)} {
		if _, ok := amqpwire.Integer(v); ok {
			t.Errorf("%T %v is taken for an integer", v, v)
		}
	}
}

// Every integer field is read from every width and sign that fits.
func TestReader_integers(t *testing.T) {
	for _, v := range []any{int8(7), int16(7), int32(7), int64(7), uint8(7), uint16(7), uint32(7), uint64(7)} {
		wire, _ := amqpwire.AppendValue(nil, v)
		r := amqpwire.NewReader(wire)
		n8 := r.Ubyte()
		r.Reset(wire)
		n16 := r.Ushort()
		r.Reset(wire)
		n32 := r.Uint()
		r.Reset(wire)
		n64 := r.Ulong()
		r.Reset(wire)
		if n := r.Long(); n8 != 7 || n16 != 7 || n32 != 7 || n64 != 7 || n != 7 {
			t.Errorf("%T: %d %d %d %d %d", v, n8, n16, n32, n64, n)
		}
	}
	rows := map[string]func(r *amqpwire.Reader){
		"\x60\x01\x00":                         func(r *amqpwire.Reader) { r.Ubyte() },
		"\x70\x00\x01\x00\x00":                 func(r *amqpwire.Reader) { r.Ushort() },
		"\x81\x00\x00\x00\x01\x00\x00\x00\x00": func(r *amqpwire.Reader) { r.Uint() },
		"\x54\xff":                             func(r *amqpwire.Reader) { r.Ulong() },
		"\x80\x80\x00\x00\x00\x00\x00\x00\x00": func(r *amqpwire.Reader) { r.Long() },
	}
	for wire, read := range rows {
		r := amqpwire.NewReader([]byte(wire))
		if read(r); !errors.Is(r.Err(), amqpwire.ErrRange) {
			t.Errorf("%x: %v", wire, r.Err())
		}
	}
}

func TestMap_Get(t *testing.T) {
	m := mapping{{uint64(1), "no"}, {symbol("a"), int32(1)}, {"b", int32(2)}, {[]byte("c"), int32(3)}, {"a", "second"}}
	for name, want := range map[string]any{"a": int32(1), "b": int32(2), "c": int32(3), "d": nil} {
		if got := m.Get(name); got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
	if amqpwire.Map(nil).Get("a") != nil {
		t.Error("a nil map has something")
	}
}

func TestAppendUUID(t *testing.T) {
	if got := string(amqpwire.AppendUUID(nil, amqpwire.UUID([]byte("0123456789abcdef")))); got != "\x980123456789abcdef" {
		t.Errorf("%x", got)
	}
}

// A reader of small forms, as other implementations write them.
func TestReader_smallForms(t *testing.T) {
	r := amqpwire.NewReader([]byte("\x45\xc0\x02\x01\x40\xc1\x03\x02\x41\x42\xd1\x00\x00\x00\x04\x00\x00\x00\x00\x40\x40\x56\x01"))
	if n := r.List(); n != 0 {
		t.Errorf("list0 of %d", n)
	}
	if n := r.List(); n != 1 || !r.Null() {
		t.Errorf("list8 of %d", n)
	}
	if n := r.Map(); n != 2 || !r.Bool() || r.Bool() {
		t.Errorf("map8 of %d", n)
	}
	if n := r.Map(); n != 0 {
		t.Errorf("map32 of %d", n)
	}
	if b, at := r.Bytes(), r.Timestamp(); b != nil || !at.IsZero() {
		t.Errorf("nulls: %v, %v", b, at)
	}
	if !r.Bool() || r.Err() != nil || r.More() {
		t.Errorf("%v, %x left", r.Err(), r.Rest())
	}
}
