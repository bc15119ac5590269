package cli

import (
	"cmp"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hubward/hubward/internal/utf8text"
	"github.com/hubward/hubward/sas"
	"github.com/hubward/hubward/service"
)

// Names of environment variables, and of lines in the file that serve leaves in its data folder.
const (
	envConnectionString = "HUBWARD_CONNECTION_STRING"
	envCA               = "HUBWARD_CA"
	connectionFile      = "connection-strings.env"
	defaultData         = "./hubward-data"
)

// loginFlags say how a client command reaches its hub. Each value is looked up in this order: the flag, the file in a
// folder given by --data, the environment, the file in ./hubward-data.
type loginFlags struct {
	login   string
	ca      string
	data    string
	dataSet func() bool
	source  string // where the connection string was found
}

// addLoginFlags gives cmd and all below it --login, --ca and --data.
func addLoginFlags(cmd *cobra.Command) *loginFlags {
	f := &loginFlags{}
	flags := cmd.PersistentFlags()
	flags.StringVar(&f.login, "login", "", "`connection string` of a policy of the hub (env "+envConnectionString+")")
	flags.StringVar(&f.ca, "ca", "", "`file` with the authority to trust besides the system's (env "+envCA+")")
	flags.StringVar(&f.data, "data", defaultData, "`folder` of hubward serve, whose "+connectionFile+" is the default for both")
	f.dataSet = func() bool { return flags.Changed("data") }
	return f
}

// connectionString returns the policy's connection string. The error, when there is none, says how to give one.
func (f *loginFlags) connectionString(env Env) (string, error) {
	text, source, err := f.lookUp(env, f.login, envConnectionString)
	f.source = cmp.Or(source, "--login")
	if err == nil && text == "" {
		err = fmt.Errorf("no login: give --login CONNECTION_STRING, set %s, or run where hubward serve has left %s (--data DIR)",
			envConnectionString, filepath.Join(f.data, connectionFile))
	}
	return text, err
}

// invalid says where the connection string is from that err is about.
func (f *loginFlags) invalid(err error) error {
	return fmt.Errorf("the login (from %s) cannot be used: %w", f.source, err)
}

// lookUp finds one value and where it is, unless it is that of the flag; "" when it is nowhere.
func (f *loginFlags) lookUp(env Env, flag, name string) (value, source string, err error) {
	if flag != "" {
		return flag, "", nil
	}
	if value := env.Getenv(name); value != "" && !f.dataSet() {
		return value, name, nil
	}
	file := filepath.Join(f.data, connectionFile)
	values, err := readEnvFile(file)
	// Nobody asked for this file: it need not be there, and an authority is not missed before a handshake fails.
	if err != nil && !f.dataSet() && (errors.Is(err, fs.ErrNotExist) || name == envCA) {
		return "", "", nil
	}
	return values[name], file, err
}

// host returns the host name of the login, with its port if it has one.
func (f *loginFlags) host(env Env) (string, error) {
	text, err := f.connectionString(env)
	if err != nil {
		return "", err
	}
	cs, err := sas.ParseConnectionString(text)
	return cs.HostName, err
}

// pool returns the authorities to trust: the system's and the one of --ca, HUBWARD_CA or the data folder.
func (f *loginFlags) pool(env Env) (*x509.CertPool, error) {
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	file, _, err := f.lookUp(env, f.ca, envCA)
	if err != nil || file == "" {
		return pool, err
	}
	pem, err := os.ReadFile(file)
	if err == nil {
		pem, err = utf8text.SkipMark(pem)
	}
	if err != nil {
		return nil, fmt.Errorf("the authority to trust, %s, cannot be read (--ca, %s): %w", file, envCA, err)
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no PEM certificate", file)
	}
	return pool, nil
}

// service returns a client of the hub. The caller closes it.
func (f *loginFlags) service(env Env) (*service.Client, error) {
	text, err := f.connectionString(env)
	if err != nil {
		return nil, err
	}
	pool, err := f.pool(env)
	if err != nil {
		return nil, err
	}
	c, err := service.NewFromConnectionString(text, &service.Options{RootCAs: pool, UserAgent: "hubward-cli"})
	if err != nil {
		return nil, f.invalid(err)
	}
	return c, nil
}

// failed returns err, unless it is nil, with what explain needs to know of the login.
func (f *loginFlags) failed(env Env, c *service.Client, err error) error {
	if err == nil {
		return nil
	}
	text, _ := f.connectionString(env) // it was good a moment ago
	return &hubError{err: err, client: c, login: text}
}

// maxEnvFile bounds what is read of such a file, in bytes.
const maxEnvFile = 1 << 20

// readEnvFile reads NAME=value lines. A value may stand in quotes, as a shell wants it, and a line may begin with
// "export". Comments and other lines are skipped.
func readEnvFile(file string) (map[string]string, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxEnvFile))
	if err == nil {
		text, err = utf8text.SkipMark(text)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	values := map[string]string{}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimPrefix(strings.TrimSpace(line), "export ")
		name, value, ok := strings.Cut(line, "=")
		if ok && !strings.HasPrefix(name, "#") {
			values[strings.TrimSpace(name)] = unquote(strings.TrimSpace(value))
		}
	}
	return values, nil
}

func unquote(value string) string {
	if n := len(value); n >= 2 && (value[0] == '"' || value[0] == '\'') && value[n-1] == value[0] {
		return strings.ReplaceAll(value[1:n-1], `'\''`, "'") // how serve writes a ' between two of them
	}
	return value
}
