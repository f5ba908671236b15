package server

import (
	"bufio"
	"fmt"
	"io"
	"net/url"
	"os"
	"slices"
	"strings"

	"muniment.dev/fault"
)

// Config is what an operator can say. Every setting has a flag --name, an
// environment variable MUNIMENT_NAME and a line `name = value` in a file; the
// first of flag, variable, file and default that says something counts.
type Config struct {
	Data          string
	Listen        string
	ExternalURL   string
	TLSCert       string
	TLSKey        string
	Register      string
	RootKey       string
	Name          string
	OwnerEmail    string
	OwnerName     string
	Organization  string
	LogLevel      string
	EventsTo      string
	DataCollect   string
	MetricsListen string
	MetricsToken  string
	OTLPEndpoint  string
	OTLPRatio     string
	Webhooks      string
	// WebhookNetworks are private networks that webhooks may lead to.
	WebhookNetworks string

	// Of an instance on PostgreSQL, and of several nodes.
	Database      string
	DatabaseOwner string
	DatabaseErase string
	Keys          string
	Views         string
	NodeListen    string
	NodeURL       string
	Lease         string
}

// Setting describes one setting.
type Setting struct {
	Name, Default, Help string
	field               func(*Config) *string
	secret              bool // the address may hold a password, which is never shown
}

// Settings lists all settings, in the order in which they are shown.
var Settings = []Setting{
	{"data", "", "directory of the stores; made if it does not exist (required)", func(c *Config) *string { return &c.Data }, false},
	{"listen", "127.0.0.1:8300", "address and port to listen on", func(c *Config) *string { return &c.Listen }, false},
	{"external-url", "", "address under which browsers reach the server, if a proxy stands before it; default: where it listens", func(c *Config) *string { return &c.ExternalURL }, false},
	{"tls-cert", "", "file with the certificate chain (PEM), to serve https without a proxy", func(c *Config) *string { return &c.TLSCert }, false},
	{"tls-key", "", "file with the certificate's private key (PEM)", func(c *Config) *string { return &c.TLSKey }, false},
	{"register", "", "where size and root of the log are kept apart from it: a file, best on another disk, a PostgreSQL database on another server (postgres://...), or etcd (etcd://host:2379/name); default: register.json in the data directory", func(c *Config) *string { return &c.Register }, true},
	{"root-key", "", "file of the key that wraps all others, best on another disk; default: root.key in the data directory", func(c *Config) *string { return &c.RootKey }, false},
	{"name", "Muniment", "what the instance is called, when it is made", func(c *Config) *string { return &c.Name }, false},
	{"owner-email", "admin@localhost", "e-mail address of the first owner, when the instance is made", func(c *Config) *string { return &c.OwnerEmail }, false},
	{"owner-name", "Administrator", "name of the first owner, when the instance is made", func(c *Config) *string { return &c.OwnerName }, false},
	{"organization", "Home", "name of the first organization, when the instance is made", func(c *Config) *string { return &c.Organization }, false},
	{"log-level", "info", "debug, info, warn or error", func(c *Config) *string { return &c.LogLevel }, false},
	{"datacollect", "off", "serve clients of ID PASS DataCollect under /api: on or off", func(c *Config) *string { return &c.DataCollect }, false},
	{"events-to", "", "where every event is written as a line of JSON, sealed fields withheld: stdout; default: nowhere", func(c *Config) *string { return &c.EventsTo }, false},
	{"metrics-listen", "", "address and port on which /metrics is served, such as 127.0.0.1:9464; default: nowhere", func(c *Config) *string { return &c.MetricsListen }, false},
	{"metrics-token", "", "file with the bearer token that metrics are given for; required unless metrics-listen is on loopback", func(c *Config) *string { return &c.MetricsToken }, false},
	{"otlp-endpoint", "", "OpenTelemetry collector that traces are sent to, such as http://127.0.0.1:4318; default: none, nothing is traced", func(c *Config) *string { return &c.OTLPEndpoint }, false},
	{"otlp-ratio", "1", "the part of requests that is traced, such as 0.1", func(c *Config) *string { return &c.OTLPRatio }, false},
	{"webhooks", "on", "whether events are sent to the webhooks that are subscribed, and adapters run: on or off, such as off for a copy of an instance that is not to call anybody", func(c *Config) *string { return &c.Webhooks }, false},
	{"webhook-networks", "", "private networks that webhooks and adapters may lead to, such as 10.0.0.0/8, 127.0.0.1; default: none, only addresses of the open internet are called", func(c *Config) *string { return &c.WebhookNetworks }, false},
	{"database", "", "PostgreSQL database that holds the log, such as postgres://muniment@db.example.com/muniment; default: the embedded store in the data directory", func(c *Config) *string { return &c.Database }, true},
	{"database-owner", "", "the same database as the role that owns the tables, to make and migrate them at the start; default: as database", func(c *Config) *string { return &c.DatabaseOwner }, true},
	{"database-erase", "", "the same database as the role that may delete what is erased; default: as database", func(c *Config) *string { return &c.DatabaseErase }, true},
	{"keys", "", "where the subject keys are: a file, or a PostgreSQL database of its own (postgres://...); default: keys.db in the data directory", func(c *Config) *string { return &c.Keys }, true},
	{"views", "", "where the views are: a file, or a PostgreSQL database (postgres://...); default: views.db in the data directory, or with a database, in it", func(c *Config) *string { return &c.Views }, true},
	{"node-listen", "", "address and port on which other nodes reach this one, such as 10.0.0.5:8301; default: there are no others", func(c *Config) *string { return &c.NodeListen }, false},
	{"node-url", "", "address under which other nodes reach this one; default: http:// and node-listen", func(c *Config) *string { return &c.NodeURL }, false},
	{"lease", "5s", "for how long a node that falls silent holds the log before another takes it, 1s to 1m", func(c *Config) *string { return &c.Lease }, false},
}

// Shown is the value as it may be shown: without a password.
func (e Effective) Shown() string {
	if !e.secret || !isURL(e.Value) {
		return e.Value
	}
	u, err := url.Parse(e.Value)
	if err != nil {
		return "(cannot be read)"
	}
	q := u.Query()
	for name := range q {
		if strings.Contains(name, "password") {
			q.Set(name, "xxxxx")
		}
	}
	u.RawQuery = q.Encode()
	return u.Redacted()
}

// Variable is the setting's environment variable.
func (s Setting) Variable() string {
	return "MUNIMENT_" + strings.ToUpper(strings.ReplaceAll(s.Name, "-", "_"))
}

// Effective is a setting's value and where it came from.
type Effective struct {
	Setting
	Value, Source string
}

// LoadConfig reads the settings from the flags in args, the environment and the
// file that --config or MUNIMENT_CONFIG names. It returns what is left of args.
func LoadConfig(args []string, getenv func(string) string) (Config, []Effective, []string, error) {
	flags, rest, err := parseFlags(args)
	if err != nil {
		return Config{}, nil, nil, err
	}
	path, source := flags["config"], "flag --config"
	if path == "" {
		path, source = getenv("MUNIMENT_CONFIG"), "MUNIMENT_CONFIG"
	}
	file := map[string]string{}
	if path != "" {
		if file, err = readFile(path); err != nil {
			return Config{}, nil, nil, fault.Wrap("read the configuration file of "+source, err)
		}
	}
	var c Config
	var all []Effective
	for _, s := range Settings {
		e := Effective{Setting: s, Value: s.Default, Source: "default"}
		if v, ok := file[s.Name]; ok {
			e.Value, e.Source = v, "file "+path
		}
		if v := getenv(s.Variable()); v != "" {
			e.Value, e.Source = v, s.Variable()
		}
		if v, ok := flags[s.Name]; ok {
			e.Value, e.Source = v, "flag --"+s.Name
		}
		*s.field(&c) = e.Value
		all = append(all, e)
	}
	return c, all, rest, nil
}

func known(name string) bool {
	return slices.ContainsFunc(Settings, func(s Setting) bool { return s.Name == name })
}

// parseFlags takes --name value and --name=value of known settings out of args.
func parseFlags(args []string) (flags map[string]string, rest []string, err error) {
	flags = map[string]string{}
	for i := 0; i < len(args); i++ {
		name, isFlag := strings.CutPrefix(args[i], "--")
		if !isFlag {
			rest = append(rest, args[i])
			continue
		}
		name, value, hasValue := strings.Cut(name, "=")
		if name != "config" && !known(name) {
			return nil, nil, fault.Field("--"+name, "there is no such setting; muniment config lists them")
		}
		if !hasValue {
			if i++; i == len(args) {
				return nil, nil, fault.Field("--"+name, "needs a value")
			}
			value = args[i]
		}
		if value == "" {
			return nil, nil, fault.Field("--"+name, "needs a value; leave it out for the default")
		}
		if _, twice := flags[name]; twice {
			return nil, nil, fault.Field("--"+name, "was given twice")
		}
		flags[name] = value
	}
	return flags, rest, nil
}

// readFile reads lines `name = value`; empty ones and those that begin with #
// are passed over.
func readFile(path string) (map[string]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, &fault.Error{Kind: fault.Invalid, Msg: "the file cannot be read", Err: err}
	}
	defer f.Close()
	values, err := parseFile(f)
	if err != nil && !fault.Is(err, fault.Invalid) {
		err = &fault.Error{Kind: fault.Invalid, Msg: "the file is no list of settings", Err: err}
	}
	return values, err
}

func parseFile(r io.Reader) (map[string]string, error) {
	out := map[string]string{}
	sc := bufio.NewScanner(r)
	for n := 1; sc.Scan(); n++ {
		line := strings.TrimSpace(sc.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		if !ok || !known(name) {
			return nil, fault.Field(fmt.Sprintf("line %d", n), "must be name = value with a setting that muniment config lists")
		}
		if value == "" {
			return nil, fault.Field(fmt.Sprintf("line %d", n), "%s needs a value; leave it out for the default", name)
		}
		if _, twice := out[name]; twice {
			return nil, fault.Field(fmt.Sprintf("line %d", n), "%s stands there twice", name)
		}
		out[name] = value
	}
	return out, sc.Err()
}
