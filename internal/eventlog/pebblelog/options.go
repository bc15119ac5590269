package pebblelog

import (
	"bytes"
	"encoding/binary"
	"log/slog"
	"math"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// Options say how to open a log. The zero value of each field but Dir is its default.
type Options struct {
	Dir string // the log's folder; made, with mode 0700, if it does not exist
	// FS is the file system. Nil is the disk, where every file gets mode 0600 whatever the umask is.
	FS     vfs.FS
	Now    func() time.Time // nil: time.Now
	Logger *slog.Logger     // nil: discard
	// CacheSize bounds the cache of table blocks, in bytes. Zero: 32 MiB.
	CacheSize int64
	// MaxGatheredBytes bounds the events that wait for the next commit; Append blocks above it. Each event counts with
	// its length plus eventOverhead. Zero: 8 MiB.
	MaxGatheredBytes int
	// Committed is told after each shared commit of events how long it took, its sync included. It must not block. Nil:
	// nobody is told.
	Committed func(took time.Duration)
}

const (
	defaultCacheSize        = 32 << 20
	defaultMaxGatheredBytes = 8 << 20

	// eventOverhead is what an event costs in memory besides its data: key, framing, and its node in Pebble's memory table.
	eventOverhead = 128

	// maxTailBytes bounds what a partition keeps in memory for readers that follow it.
	maxTailBytes = 256 << 10

	// memTableSize is a compromise measured on 2 cores with 300 B events: 16 MiB costs 15 to 30 % less CPU per event
	// than 64 MiB (caches), while smaller ones make more tables.
	memTableSize = 16 << 20
	// maxMemTables and maxSublevels are where the committer waits for flushes and compactions. Pebble's own limits lie
	// higher, so that Pebble itself never blocks a commit: a wait of ours ends when the log fails, one of Pebble's not.
	// Memory tables count by size: the first ones are small, and Pebble flushes none before half of memTableSize is full.
	maxMemTables  = 4
	maxSublevels  = 20
	pebbleSlack   = 10
	pebbleLevels  = 1000 // with a damaged table, level 0 may grow without an end of ours
	tableFileSize = 32 << 20
)

func (o Options) withDefaults() Options {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.CacheSize <= 0 {
		o.CacheSize = defaultCacheSize
	}
	if o.MaxGatheredBytes <= 0 {
		o.MaxGatheredBytes = defaultMaxGatheredBytes
	}
	if o.Committed == nil {
		o.Committed = func(time.Duration) {}
	}
	if o.FS == nil {
		o.FS = diskFS{vfs.Default}
	}
	return o
}

// pebbleOptions are Pebble's options for a log.
func (o Options) pebbleOptions(fs vfs.FS, l *Log, lock *pebble.Lock) *pebble.Options {
	p := &pebble.Options{
		FS:                          fs,
		Lock:                        lock,
		Logger:                      &pebbleLogger{log: l, out: o.Logger},
		EventListener:               l.listener(),
		CacheSize:                   o.CacheSize,
		FormatMajorVersion:          pebble.FormatNewest,
		MemTableSize:                memTableSize,
		MemTableStopWritesThreshold: maxMemTables + pebbleSlack,
		L0StopWritesThreshold:       maxSublevels + pebbleLevels,
		CompactionConcurrencyRange:  func() (int, int) { return 1, 1 },
		// Retention deletes ranges. Their space comes back only once the deletion is flushed, which an idle log would put
		// off for ever.
		FlushDelayDeleteRange: 10 * time.Second,
	}
	p.Experimental.SpanPolicyFunc = tableBorder
	p.TargetFileSizes[0] = tableFileSize
	for i := range p.Levels {
		// The fastest compressor costs less than writing the bytes that it saves.
		p.Levels[i].Compression = func() *sstable.CompressionProfile { return sstable.FastestCompression }
		p.Levels[i].BlockSize = 32 << 10
	}
	return p
}

// tableBorder tells Pebble where a table that begins at key must end: behind the key's partition.
func tableBorder(key []byte) (policy pebble.SpanPolicy, end []byte, err error) {
	zero := bytes.IndexByte(key, endOfName)
	if len(key) == 0 || key[0] != eventSpace || zero < 0 || len(key) < zero+3 {
		return pebble.SpanPolicy{}, nil, nil
	}
	id := binary.BigEndian.Uint16(key[zero+1:])
	if id == math.MaxUint16 {
		return pebble.SpanPolicy{}, append(bytes.Clone(key[:zero]), endOfName+1), nil
	}
	return pebble.SpanPolicy{}, binary.BigEndian.AppendUint16(bytes.Clone(key[:zero+1]), id+1), nil
}
