package doctest

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// unpublished is a citation of the working notes that the project grew from, which no reader has.
var unpublished = regexp.MustCompile(`\bspec/[\w-]+\.md|\bdesign section \d`)

// A citation is worth something when the reader can look it up.
func TestSources_areWithinReachOfReaders(t *testing.T) {
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := entry.Name()
		if entry.IsDir() && path != root && (name[0] == '.' || name == "node_modules") {
			return filepath.SkipDir
		}
		if ext := filepath.Ext(path); ext != ".go" && ext != ".md" || entry.IsDir() {
			return nil
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		text, err := os.ReadFile(path)
		for i, line := range bytes.Split(text, []byte("\n")) {
			if found := unpublished.Find(line); found != nil {
				t.Errorf("%s:%d: %s is not published: name a page, a standard or an SDK's source instead", filepath.ToSlash(rel), i+1, found)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestUnpublished_knowsItsKind(t *testing.T) {
	for text, want := range map[string]bool{
		"// Source: spec" + "/device.md 2.3.":                               true,
		"// Source: design " + "section 5.":                                 true,
		"// Source: Azure/azure-iot-sdk-c doc/connection_and_messaging.md.": false,
		"// Source: MQTT 3.1.1 section 3.1.":                                false,
	} {
		if got := unpublished.MatchString(text); got != want {
			t.Errorf("%q: %t", text, got)
		}
	}
}
