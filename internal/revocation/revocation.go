// Package revocation knows which certificates are revoked: by files in a folder, that somebody puts there while the process runs.
//
//	*.crl, *.pem, *.der   lists of revoked certificates as authorities publish them (RFC 5280 5), PEM or DER, several in a PEM file
//	*.txt                 a deny list, for what no authority publishes
//
// Other names are passed over, with a warning. A list of an authority counts for the certificates that it has issued, once its
// signature was seen to be of that authority's key: of the one that stands above the certificate in a path that leads to an authority
// of the hub. A line of a deny list is
//
//	SERIAL [ISSUER]
//
// with the serial number in hexadecimal digits, with colons between or not, as openssl x509 -serial prints it, and the issuer's name
// as RFC 4514 writes it (hubward ca show). Without an issuer it is a number of whatever issuer. Empty lines, and those that begin with
// #, are passed over.
package revocation

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Bounds of what is read.
const (
	maxFiles = 256
	maxFile  = 16 << 20 // bytes
	maxBytes = 64 << 20 // of all files together
)

// List is what the files of a folder say. It is safe for concurrent use.
type List struct {
	dir    string
	now    func() time.Time
	logger *slog.Logger

	current atomic.Pointer[index]

	mu      sync.Mutex // serialises Reload, guards the fields below; held while files are read
	files   map[string]*file
	failed  error // of reading the folder
	ignored map[string]bool
}

// file is one file as it was read last. What it holds stays when it cannot be read any more.
type file struct {
	size     int64
	modified time.Time
	crls     []*crl
	denied   denyList
	err      error // why it could not be read the last time
	retry    bool  // it may be read another time, though it is the same
}

// Stats are numbers of a List.
type Stats struct {
	Files        int       // that were read
	Broken       int       // that cannot be read, or the folder: what was read before counts
	Certificates int       // that are revoked
	NextUpdate   time.Time // the earliest at which a list of an authority is out of date; zero: there is none
}

// Open reads a folder for the first time. Errors name the file: nobody should believe in a list that is not read.
func Open(dir string, now func() time.Time, logger *slog.Logger) (*List, error) {
	l := &List{dir: dir, now: now, logger: logger, files: make(map[string]*file), ignored: make(map[string]bool)}
	l.current.Store(newIndex(nil))
	_, err := l.Reload(true)
	return l, err
}

// Reload reads the files that have changed, or all, and reports whether anything is revoked, or not any more, that was not before. A
// file that cannot be read, or the folder, leaves what was read of it before; errors of all are joined.
func (l *List) Reload(all bool) (changed bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	names, err := l.names()
	if err != nil {
		if l.failed == nil || l.failed.Error() != err.Error() {
			l.logger.Error("the folder of revoked certificates cannot be read: what was read before counts", "folder", l.dir, "error", err)
		}
		l.failed = err
		return false, err
	}
	l.failed = nil
	var total int64
	for name := range l.files {
		if !slices.Contains(names, name) {
			delete(l.files, name)
			l.logger.Info("a file of revoked certificates is gone, what it revoked is not revoked any more", "file", name)
			changed = true
		}
	}
	for _, name := range names {
		f := l.files[name]
		if f == nil {
			f = &file{retry: true}
			l.files[name] = f
		}
		if l.read(name, f, all, &total) {
			changed = true
		}
		err = errors.Join(err, f.err)
	}
	if changed {
		l.current.Store(newIndex(l.files))
	}
	return changed, err
}

// names returns the files of the folder that are lists.
func (l *List) names() ([]string, error) {
	entries, err := os.ReadDir(l.dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		name := e.Name()
		switch strings.ToLower(filepath.Ext(name)) {
		case ".crl", ".pem", ".der", ".txt":
			if !strings.HasPrefix(name, ".") {
				names = append(names, name)
			}
		default:
			if !strings.HasPrefix(name, ".") && !l.ignored[name] && len(l.ignored) < maxFiles {
				l.ignored[name] = true
				l.logger.Warn("a file in the folder of revoked certificates is passed over: its name ends in none of .crl, .pem, .der and .txt", "file", name)
			}
		}
	}
	if len(names) > maxFiles {
		return nil, fmt.Errorf("%s: there are %d files, up to %d are read", l.dir, len(names), maxFiles)
	}
	return names, nil
}

// read brings f up to date, and reports whether it holds something else then.
func (l *List) read(name string, f *file, all bool, total *int64) bool {
	path := filepath.Join(l.dir, name)
	before := f.err
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("it is no file")
	}
	if err == nil {
		*total += info.Size()
		if info.Size() > maxFile || *total > maxBytes {
			err = fmt.Errorf("it has %d bytes, %d are read of a file and %d of all", info.Size(), maxFile, maxBytes)
		}
	}
	if err != nil {
		f.fail(name, err, true)
		l.report(name, before, f.err)
		return false
	}
	if !all && !f.retry && f.size == info.Size() && f.modified.Equal(info.ModTime()) {
		return false
	}
	text, err := readFile(path)
	if err != nil {
		f.fail(name, err, true)
		l.report(name, before, f.err)
		return false
	}
	f.size, f.modified = info.Size(), info.ModTime()
	crls, denied, err := parse(name, text)
	if err != nil {
		f.fail(name, err, false)
		l.report(name, before, f.err)
		return false
	}
	f.crls, f.denied, f.err, f.retry = crls, denied, nil, false
	l.tell(name, f)
	return true
}

func (f *file) fail(name string, err error, retry bool) {
	var named *fs.PathError
	if errors.As(err, &named) {
		err = named.Err
	}
	f.err, f.retry = fmt.Errorf("%s: %w", name, err), retry
}

// report logs what is wrong with a file, once.
func (l *List) report(name string, before, err error) {
	if before == nil || before.Error() != err.Error() {
		l.logger.Error("a file of revoked certificates cannot be read: what was read of it before counts", "file", name, "error", err)
	}
}

// tell logs what was read.
func (l *List) tell(name string, f *file) {
	if len(f.crls) == 0 {
		l.logger.Info("read a deny list of certificates", "file", name, "certificates", len(f.denied))
	}
	for _, c := range f.crls {
		level := slog.LevelInfo
		if !c.nextUpdate.IsZero() && l.now().After(c.nextUpdate) {
			level = slog.LevelWarn
		}
		l.logger.Log(context.Background(), level, "read a list of revoked certificates", "file", name, "issuer", c.issuer, "certificates", len(c.revoked),
			"from", c.thisUpdate, "next", c.nextUpdate)
	}
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(text) > maxFile {
		err = fmt.Errorf("it has more than %d bytes", maxFile)
	}
	return text, err
}

func parse(name string, text []byte) ([]*crl, denyList, error) {
	if strings.EqualFold(filepath.Ext(name), ".txt") {
		denied, err := parseDenyList(text)
		return nil, denied, err
	}
	crls, err := parseCRLs(text)
	return crls, nil, err
}

// Stats returns the numbers of this moment.
func (l *List) Stats() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := Stats{Files: len(l.files)}
	if l.failed != nil {
		s.Broken++
	}
	for _, f := range l.files {
		if f.err != nil {
			s.Broken++
		}
		s.Certificates += len(f.denied)
		for _, c := range f.crls {
			s.Certificates += len(c.revoked)
			if !c.nextUpdate.IsZero() && (s.NextUpdate.IsZero() || c.nextUpdate.Before(s.NextUpdate)) {
				s.NextUpdate = c.nextUpdate
			}
		}
	}
	return s
}

// Revoked reports whether a certificate of a path is revoked: leaf first, each followed by that of its issuer, which has been seen to
// have signed it.
func (l *List) Revoked(path []*x509.Certificate) bool {
	x := l.current.Load()
	for i, c := range path {
		if x.denies(c) || i+1 < len(path) && l.listed(x, c, path[i+1]) {
			return true
		}
	}
	return false
}

// index is what all files together say. It is never changed.
type index struct {
	denied denyList
	crls   map[string][]*crl // by the DER of the issuer's name, the newest first
}

func newIndex(files map[string]*file) *index {
	x := &index{denied: make(denyList), crls: make(map[string][]*crl)}
	for _, f := range files {
		for serial, issuers := range f.denied {
			x.denied[serial] = append(x.denied[serial], issuers...)
		}
		for _, c := range f.crls {
			x.crls[c.rawIssuer] = append(x.crls[c.rawIssuer], c)
		}
	}
	for _, all := range x.crls {
		slices.SortFunc(all, func(a, b *crl) int {
			return cmp.Or(b.number.Cmp(a.number), b.thisUpdate.Compare(a.thisUpdate))
		})
	}
	return x
}

func (x *index) denies(c *x509.Certificate) bool {
	for _, issuer := range x.denied[string(c.SerialNumber.Bytes())] {
		if issuer == "" || issuer == c.Issuer.String() {
			return true
		}
	}
	return false
}

// listed reports whether c is on the newest list of its issuer.
func (l *List) listed(x *index, c, issuer *x509.Certificate) bool {
	for _, list := range x.crls[string(c.RawIssuer)] {
		ok, first := list.signedBy(issuer)
		if first && !ok {
			l.logger.Warn("a list of revoked certificates does not count for an authority: it has another key, or its key is not for such lists",
				"issuer", list.issuer, "authority", issuer.Subject.String(), "serial", issuer.SerialNumber.Text(16))
		}
		if ok {
			_, revoked := list.revoked[string(c.SerialNumber.Bytes())]
			return revoked
		}
	}
	return false
}
