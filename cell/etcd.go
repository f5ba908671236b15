package cell

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"muniment.dev/fault"
)

// gateway speaks the JSON form of etcd's v3 API (etcd 3.4 or newer; its
// documentation, "gRPC gateway"): reads are linearizable, a transaction
// compares the revision and sets the value, and is answered when a majority has
// it on disk. etcd's own client would bring gRPC along for four calls.
type gateway struct {
	endpoints      []string
	client         *http.Client
	user, password string

	mu    sync.Mutex
	token string // of the user, while it is good
}

func isEtcd(where string) bool {
	return strings.HasPrefix(where, "etcd://") || strings.HasPrefix(where, "etcds://")
}

// splitEtcd takes the path off.
func splitEtcd(where string) (rest, name string) {
	scheme, rest, _ := strings.Cut(where, "://")
	rest, query, found := strings.Cut(rest, "?")
	host, name, _ := strings.Cut(rest, "/")
	if found {
		host += "?" + query
	}
	return scheme + "://" + host, name
}

const etcdForm = "the address of etcd cannot be read; give one such as etcd://host:2379/name, or etcds://host:2379/name?ca=FILE"

func openEtcd(ctx context.Context, where string) (Store, error) {
	e, err := parseEtcd(where)
	if err != nil {
		return nil, err
	}
	if _, err := e.Get(ctx, anonymous); err != nil {
		return nil, fault.Wrap("open the register", err)
	}
	return e, nil
}

func parseEtcd(where string) (*gateway, error) {
	bad := fault.New(fault.Invalid, etcdForm)
	scheme, rest, _ := strings.Cut(where, "://")
	rest, query, _ := strings.Cut(rest, "?")
	options, err := url.ParseQuery(query)
	if err != nil {
		return nil, bad
	}
	e := &gateway{}
	user, hosts, found := cutLast(rest, "@")
	if !found {
		user, hosts = "", rest
	}
	if found {
		u, err := url.Parse("x://" + user + "@host")
		if err != nil || u.User == nil {
			return nil, bad
		}
		e.user = u.User.Username()
		e.password, _ = u.User.Password()
	}
	transport := &http.Transport{DialContext: (&net.Dialer{Timeout: 5 * time.Second}).DialContext, TLSHandshakeTimeout: 5 * time.Second, MaxIdleConnsPerHost: 4, IdleConnTimeout: time.Minute}
	http1 := "http://"
	if scheme == "etcds" {
		http1 = "https://"
		if transport.TLSClientConfig, err = tlsOf(options); err != nil {
			return nil, err
		}
	}
	for host := range strings.SplitSeq(hosts, ",") {
		if _, _, err := net.SplitHostPort(host); err != nil {
			return nil, bad
		}
		if e.user != "" && scheme == "etcd" && !isLocal(host) {
			return nil, fault.New(fault.Refused, "the password of etcd would travel in clear; use etcds://")
		}
		e.endpoints = append(e.endpoints, http1+host)
	}
	e.client = &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return e, nil
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

func isLocal(hostport string) bool {
	host, _, _ := net.SplitHostPort(hostport)
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// tlsOf reads the files that an address names: ca, cert and key.
func tlsOf(options url.Values) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if ca := options.Get("ca"); ca != "" {
		pem, err := os.ReadFile(ca)
		c.RootCAs = x509.NewCertPool()
		if err != nil || !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, &fault.Error{Kind: fault.Invalid, Msg: "the certificates of etcd's authority (ca) cannot be read", Err: err}
		}
	}
	if cert := options.Get("cert"); cert != "" {
		pair, err := tls.LoadX509KeyPair(cert, options.Get("key"))
		if err != nil {
			return nil, &fault.Error{Kind: fault.Invalid, Msg: "our certificate and key for etcd (cert, key) cannot be read", Err: err}
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

func (e *gateway) Close() error {
	e.client.CloseIdleConnections()
	return nil
}

// The messages, as far as they are used. Bytes are base64, and numbers of 64
// bits strings, as JSON of Protobuf has them.
type (
	etcdKey struct {
		Key   []byte `json:"key"`
		Value []byte `json:"value,omitempty"`
		Mod   int64  `json:"mod_revision,string,omitempty"`
	}
	etcdRange struct {
		Key   []byte `json:"key"`
		End   []byte `json:"range_end,omitempty"`
		Limit int64  `json:"limit,string,omitempty"`
	}
	etcdRanged struct {
		Kvs  []etcdKey `json:"kvs"`
		More bool      `json:"more"`
	}
	etcdCompare struct {
		Result string `json:"result"`
		Target string `json:"target"`
		Key    []byte `json:"key"`
		Mod    int64  `json:"mod_revision,string"`
	}
	etcdOp struct {
		Put *etcdKey `json:"request_put"`
	}
	etcdTxn struct {
		Compare []etcdCompare `json:"compare"`
		Success []etcdOp      `json:"success"`
	}
	etcdTxned struct {
		Header struct {
			Revision int64 `json:"revision,string"`
		} `json:"header"`
		Succeeded bool `json:"succeeded"`
	}
)

func (e *gateway) Get(ctx context.Context, name string) (Value, error) {
	var out etcdRanged
	err := e.call(ctx, "/v3/kv/range", false, etcdRange{Key: []byte(name)}, &out)
	if err != nil || len(out.Kvs) == 0 {
		return Value{Name: name}, err
	}
	return Value{name, out.Kvs[0].Mod, out.Kvs[0].Value}, nil
}

func (e *gateway) Put(ctx context.Context, v Value) (int64, error) {
	key := []byte(v.Name)
	var out etcdTxned
	err := e.call(ctx, "/v3/kv/txn", true, etcdTxn{
		Compare: []etcdCompare{{Result: "EQUAL", Target: "MOD", Key: key, Mod: v.Revision}}, // 0: there is no such key
		Success: []etcdOp{{&etcdKey{Key: key, Value: v.Bytes}}},
	}, &out)
	switch {
	case err != nil:
		return 0, err
	case !out.Succeeded:
		return 0, errChanged
	}
	return out.Header.Revision, nil
}

// end is the first name behind those that begin with a prefix.
func end(prefix string) []byte {
	b := []byte(prefix)
	b[len(b)-1]++ // no name has a byte 0xff
	return b
}

func (e *gateway) List(ctx context.Context, prefix string) (all []Value, err error) {
	r := etcdRange{Key: []byte(prefix), End: end(prefix), Limit: 1000}
	for {
		var out etcdRanged
		if err := e.call(ctx, "/v3/kv/range", false, r, &out); err != nil {
			return nil, err
		}
		for _, kv := range out.Kvs {
			all = append(all, Value{string(kv.Key), kv.Mod, kv.Value})
		}
		if !out.More || len(out.Kvs) == 0 {
			return all, nil
		}
		r.Key = append(out.Kvs[len(out.Kvs)-1].Key, 0)
	}
}

func (e *gateway) Remove(ctx context.Context, prefix string) error {
	return e.call(ctx, "/v3/kv/deleterange", true, etcdRange{Key: []byte(prefix), End: end(prefix)}, &struct{}{})
}

// call asks the endpoints one after the other, as long as they were not reached
// at all. If write, an answer that does not come leaves the outcome unknown.
func (e *gateway) call(ctx context.Context, path string, write bool, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	for attempt := 0; ; attempt++ {
		err = e.ask(ctx, path, write, body, out)
		if !errors.Is(err, errToken) || attempt > 0 {
			return err
		}
		if err := e.login(ctx); err != nil {
			return err
		}
	}
}

func (e *gateway) ask(ctx context.Context, path string, write bool, body []byte, out any) error {
	var failed error
	for _, endpoint := range e.endpoints {
		sent, err := e.post(ctx, endpoint+path, body, out)
		var f *fault.Error
		switch {
		case err == nil, errors.As(err, &f) && f.Kind != fault.Unknown:
			return err
		case write && sent:
			return &fault.Error{Kind: fault.Unknown, Op: "write the register", Msg: "etcd did not say whether it took the change; look at its health", Err: err}
		}
		failed = err
		if ctx.Err() != nil {
			break
		}
	}
	return &fault.Error{Kind: fault.Unavailable, Op: "ask the register", Msg: "etcd cannot be reached, or has no majority; check its address and its health", Err: failed}
}

// errToken says that we have to log in, again or at all.
var errToken = fault.New(fault.Denied, "etcd asks for a user, or does not know ours; check user and password in its address")

// maxAnswer bounds what one answer may hold.
const maxAnswer = 64 << 20

// post asks one endpoint; sent tells whether it may have heard. fault.Unknown
// is an answer that leaves open what happened.
func (e *gateway) post(ctx context.Context, address string, body []byte, out any) (sent bool, err error) {
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteHeaders: func() { sent = true }})
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return false, err
	}
	e.mu.Lock()
	if e.token != "" {
		r.Header.Set("Authorization", e.token)
	}
	e.mu.Unlock()
	a, err := e.client.Do(r)
	if err != nil {
		return sent, err
	}
	defer a.Body.Close()
	b, err := io.ReadAll(io.LimitReader(a.Body, maxAnswer))
	if err != nil {
		return true, err
	}
	if a.StatusCode != http.StatusOK {
		return true, refusal(a.StatusCode, b)
	}
	return true, json.Unmarshal(b, out)
}

// refusal is what an answer that is not 200 means.
func refusal(status int, body []byte) error {
	var said struct {
		Error   string `json:"error"`
		Message string `json:"message"`
	}
	_ = json.Unmarshal(body, &said)
	cause := errors.New("etcd: " + max(said.Message, said.Error))
	switch {
	case status == http.StatusUnauthorized, strings.Contains(cause.Error(), "user name is empty"):
		return errToken
	case status == http.StatusForbidden:
		return &fault.Error{Kind: fault.Unavailable, Msg: "etcd does not let us read and write there; give our user readwrite on the keys that begin with the name", Err: cause}
	case status == http.StatusNotFound:
		return fault.New(fault.Unavailable, "what answers is no etcd of version 3.4 or newer")
	case status == http.StatusTooManyRequests:
		return &fault.Error{Kind: fault.Unavailable, Msg: "etcd takes nothing more; if its space is used up, compact and defragment it", Err: cause}
	case status < 500:
		return &fault.Error{Kind: fault.Unavailable, Msg: "etcd does not take what it was asked", Err: cause}
	}
	return &fault.Error{Kind: fault.Unknown, Msg: "etcd failed", Err: cause}
}

// login gets a token for the user.
func (e *gateway) login(ctx context.Context) error {
	if e.user == "" {
		return errToken
	}
	e.mu.Lock()
	e.token = ""
	e.mu.Unlock()
	var out struct {
		Token string `json:"token"`
	}
	body, err := json.Marshal(map[string]string{"name": e.user, "password": e.password})
	if err == nil {
		err = e.ask(ctx, "/v3/auth/authenticate", false, body, &out)
	}
	if err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.token = out.Token
	return nil
}
