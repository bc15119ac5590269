package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hubward/hubward/internal/utf8text"
)

// maxJSONInput bounds a JSON document that a command takes, in bytes: more than a hub takes of any.
const maxJSONInput = 1 << 20

// jsonHelp is what the help pages of commands say that take JSON.
const jsonHelp = "JSON is the text itself, @FILE for that of a file, or - for standard input."

// readJSON returns the JSON that a flag gives: as text, as @FILE, or - for standard input. What is wrong with a text is wrong
// usage of cmd.
func readJSON(cmd *cobra.Command, flag, value string) (json.RawMessage, error) {
	name, isFile := strings.CutPrefix(value, "@")
	var text []byte
	var err error
	switch {
	case value == "-":
		name = "standard input"
		text, err = readLimited(cmd.InOrStdin())
	case isFile:
		text, err = readFileLimited(name)
	default:
		if text, err = checkJSON([]byte(value)); err != nil {
			return nil, usagef(cmd, "--%s: %s; the shell takes quotes away unless '…' stands around all of it, and @FILE needs none", flag, err)
		}
		return text, nil
	}
	if err == nil {
		text, err = checkJSON(text)
	}
	var path *os.PathError
	if errors.As(err, &path) { // the name is said already
		err = path.Err
	}
	if err != nil {
		return nil, fmt.Errorf("--%s: %s: %w", flag, name, err)
	}
	return text, nil
}

// readObject is readJSON for what has to be an object, or null.
func readObject(cmd *cobra.Command, flag, value string) (json.RawMessage, error) {
	text, err := readJSON(cmd, flag, value)
	if err != nil || text[0] == '{' || string(text) == "null" {
		return text, err
	}
	return nil, usagef(cmd, "--%s is no JSON object", flag)
}

// checkJSON returns text, without what may stand around the JSON, if it is some.
func checkJSON(text []byte) ([]byte, error) {
	text, err := utf8text.Check(text)
	if err != nil {
		return nil, err
	}
	var value json.RawMessage
	err = json.Unmarshal(text, &value)
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &syntax) && syntax.Offset > 0:
		return nil, fmt.Errorf("no JSON: %w (byte %d)", err, syntax.Offset)
	case err != nil:
		return nil, fmt.Errorf("no JSON: %w", err)
	}
	return value, nil
}

func readFileLimited(name string) ([]byte, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return readLimited(file)
}

func readLimited(in io.Reader) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(in, maxJSONInput+1))
	if err == nil && len(text) > maxJSONInput {
		err = fmt.Errorf("it is larger than %d bytes", maxJSONInput)
	}
	return text, err
}
