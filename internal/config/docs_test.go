package config_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hubward/hubward/internal/config"
)

// page is docs/configuration.md.
func page(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "configuration.md"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// row is how the page shows an option.
func row(o config.Option) string {
	def := strings.Join(o.Default(), ",")
	if def != "" {
		def = "`" + def + "`"
	}
	return fmt.Sprintf("| `--%s` | `%s` | `%s` | %s | %s |", o.Flag, o.Path, o.Env(), def, o.Usage)
}

func TestDocs_tableOfOptions(t *testing.T) {
	_, rest, _ := strings.Cut(page(t), "|---|---|---|---|---|\n")
	table, _, _ := strings.Cut(rest, "\n\n")
	var want []string
	for _, o := range config.Options() {
		want = append(want, row(o))
	}
	if text := strings.Join(want, "\n"); table != text {
		t.Errorf("docs/configuration.md shows other options than there are; its table should be\n%s", text)
	}
}

func TestDocs_exampleFileLoads(t *testing.T) {
	_, rest, _ := strings.Cut(page(t), "```toml\n")
	file, _, found := strings.Cut(rest, "```")
	if !found {
		t.Fatal("docs/configuration.md has no TOML example")
	}
	c, err := config.Load(config.Source{File: writeFile(t, file)})
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range config.Options() {
		// Options of which the default is what most people want need not stand in the example.
		if strings.Contains(file, "\n"+o.Path+" = ") && !c.Given(o.Path) {
			t.Errorf("%s stands in the example and was not read", o.Path)
		}
	}
}
