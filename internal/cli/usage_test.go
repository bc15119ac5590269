package cli_test

import (
	"strings"
	"testing"
)

// What is no command fails, and names what was probably meant.
func TestUnknownCommand(t *testing.T) {
	for line, want := range map[string]string{
		"foo":               `there is no command "foo". See hubward help`,
		"help foo":          `there is no command "foo". See hubward help`,
		"help device foo":   `there is no command "foo" below hubward device. See hubward help device`,
		"help devcie":       `did you mean "device"? See hubward help`,
		"polciy list":       `did you mean "policy"?`,
		"device delet d1":   `did you mean "delete"?`,
		"bench d2d":         `there is no command "d2d" below hubward bench; did you mean "d2c"? See hubward help bench`,
		"c2d foo":           `below hubward c2d.`,
		"hub foo":           `below hubward hub.`,
		"consumer-group rm": `below hubward consumer-group.`,
	} {
		status, stdout, stderr := runLine(t, nil, strings.Fields(line)...)
		if status != 2 || stdout != "" || !strings.Contains(stderr, want) || strings.Count(stderr, "\n") != 2 {
			t.Errorf("%s: status %d, stdout %q, stderr %s; want 2 and %q", line, status, stdout, stderr, want)
		}
	}
}

func TestHelp_showsThePageOfACommand(t *testing.T) {
	for line, want := range map[string]string{
		"":                   "Available Commands:",
		"help":               "Available Commands:",
		"help device":        "Manage the identity registry",
		"help device create": "Usage:\n  hubward device create ID",
		"device":             "Available Commands:",
		"bench":              "Available Commands:",
	} {
		status, stdout, stderr := runLine(t, nil, strings.Fields(line)...)
		if status != 0 || stderr != "" || !strings.Contains(stdout, want) {
			t.Errorf("%q: status %d, stderr %s, stdout\n%s", line, status, stderr, stdout)
		}
	}
	_, asked, _ := runLine(t, nil, "help", "monitor")
	if _, flag, _ := runLine(t, nil, "monitor", "--help"); asked != flag {
		t.Errorf("help monitor says\n%s\nand monitor --help\n%s", asked, flag)
	}
}

func TestUnknownFlag_namesTheNearest(t *testing.T) {
	for line, want := range map[string]string{
		"policy create p --right RegistryRead": "unknown flag: --right; it is called --permissions",
		"policy create p --permission x":       "did you mean --permissions?",
		"monitor --devic d1":                   "did you mean --device?",
		"device list --tpo 3":                  "did you mean --top?",
		"serve --mqtt :1":                      "did you mean --mqtts?",
		"device list --colour red":             "hubward device list has --top",
		"serve --colour red":                   "see hubward serve --help",
		"monitor -x":                           "unknown shorthand flag: 'x' in -x",
	} {
		if status, _, stderr := runLine(t, nil, strings.Fields(line)...); status != 2 || !strings.Contains(stderr, want) {
			t.Errorf("%s: status %d, stderr %s; want 2 and %q", line, status, stderr, want)
		}
	}
}

func TestArguments_areNamed(t *testing.T) {
	for line, want := range map[string]string{
		"device create":           "ID is missing",
		"device delete":           "ID is missing",
		"hub create":              "NAME is missing",
		"device import":           "FILE is missing",
		"device create wind mill": `"mill" is one argument too many; a value with blanks needs quotes`,
		"hub show a b":            `"b" is one argument too many`,
		"version now":             `hubward version takes no argument, and "now" is one`,
		"completion":              "bash|zsh|fish|powershell is missing",
	} {
		if status, _, stderr := runLine(t, nil, strings.Fields(line)...); status != 2 || !strings.Contains(stderr, want) {
			t.Errorf("%s: status %d, stderr %s; want 2 and %q", line, status, stderr, want)
		}
	}
}

// An empty value is a variable that nobody has set. It must not mean another hub or device than was meant.
func TestEmptyValues_areRefused(t *testing.T) {
	c := newClient(t)
	for _, test := range []struct {
		want string
		args []string
	}{
		{"--hub is empty", []string{"policy", "delete", "service", "--hub", ""}},
		{"--login is empty", []string{"device", "list", "--login", ""}},
		{"--ca is empty", []string{"device", "list", "--ca="}},
		{"--device is empty", []string{"monitor", "--device", "", "--count", "1"}},
		{"--hostname is empty", []string{"hub", "update", "x", "--hostname", ""}},
		{"NAME is empty", []string{"hub", "show", ""}},
		{"ID is empty", []string{"device", "delete", "d1", ""}},
	} {
		c.fails(2, test.want, test.args...)
	}
	c.ok("device", "create", "d1", "--status-reason", "")
	c.ok("c2d", "send", "d1", "--body", "")
}

func TestDeviceList_topIsChecked(t *testing.T) {
	c := newClient(t)
	c.fails(2, "--top 0", "device", "list", "--top", "0")
	c.fails(2, "--top -1", "device", "list", "--top", "-1")
	c.ok("device", "list", "--top", "1")
}
