package cli

import (
	"errors"
	"log"
	"log/slog"
	"slices"

	"github.com/spf13/cobra"
)

// jsonFormat is the value of --log-format with which every line on standard error is a JSON object.
const jsonFormat = "json"

// loggedError is an error of a serve whose configuration wants JSON.
type loggedError struct{ err error }

func (e *loggedError) Error() string { return e.err.Error() }
func (e *loggedError) Unwrap() error { return e.err }

// logsJSON reports whether err ends a serve whose log is JSON. Flags and environment count even if they could not all be
// read: a program that reads the log cannot read anything else.
func logsJSON(env Env, cmd *cobra.Command, args []string, err error) bool {
	var logged *loggedError
	if cmd.Name() != "serve" || errors.As(err, &logged) {
		return cmd.Name() == "serve"
	}
	for i, arg := range slices.Backward(args) {
		if arg == "--log-format="+jsonFormat || i > 0 && arg == jsonFormat && args[i-1] == "--log-format" {
			return true
		}
	}
	return env.Getenv("HUBWARD_LOG_FORMAT") == jsonFormat
}

// logError is printError for programs that read the log.
func logError(env Env, text, usage string) {
	logger := slog.New(slog.NewJSONHandler(env.Stderr, nil))
	if usage != "" {
		logger.Error("serve was called in a wrong way", "error", text, "usage", usage)
		return
	}
	logger.Error("serve failed", "error", text)
}

// takeStandardLog has what libraries print by package log, which would be text, go to logger until restore is called.
func takeStandardLog(logger *slog.Logger) (restore func()) {
	to, flags := log.Writer(), log.Flags()
	log.SetFlags(0)
	log.SetOutput(slog.NewLogLogger(logger.Handler(), slog.LevelWarn).Writer())
	return func() {
		log.SetFlags(flags)
		log.SetOutput(to)
	}
}
