package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	"muniment.dev/api"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
)

// failure is what the server, or the way to it, answered.
type failure struct {
	msg     string
	unknown bool
}

func (f *failure) Error() string { return f.msg }

// run runs one command.
func (c *command) run(ctx context.Context, env Env, args []string) error {
	l, err := c.parse(env, args)
	if err != nil {
		return err
	}
	if l.help {
		return c.help(env.Stdout)
	}
	server, token, err := whereAndWho(ctx, env, l.url)
	if err != nil {
		return err
	}
	call := c.client(env, server, token)
	out := &printer{w: env.Stdout, json: l.json, picks: l.picks}
	if chunk(c.method) != nil {
		return c.explain(l, c.download(ctx, env, call, l))
	}
	if c.method.IsStreamingServer() {
		return c.explain(l, c.watch(ctx, call, l, out))
	}
	for {
		resp, err := call.CallUnary(ctx, connect.NewRequest(l.msg))
		if err != nil {
			return c.explain(l, err)
		}
		if err := out.print(resp.Msg.ProtoReflect()); err != nil {
			return err
		}
		next := textOf(resp.Msg, "next_page_token")
		if next == "" {
			return nil
		}
		if !l.all {
			fmt.Fprintf(env.Stderr, "There is more: --page-token %s, or --all.\n", clean(next))
			return nil
		}
		l.msg.Set(l.msg.Descriptor().Fields().ByName("page_token"), protoreflect.ValueOfString(next))
	}
}

func textOf(m *dynamicpb.Message, name protoreflect.Name) string {
	f := m.Descriptor().Fields().ByName(name)
	if f == nil {
		return ""
	}
	return m.Get(f).String()
}

// watched is the field of a stream's messages that holds what is watched: the
// first, as over REST.
func watched(m protoreflect.MethodDescriptor) protoreflect.FieldDescriptor {
	return m.Output().Fields().ByNumber(1)
}

// listing is an empty response that lists what is watched, as a table wants it,
// and its list.
func listing(item protoreflect.MessageDescriptor) (*dynamicpb.Message, protoreflect.FieldDescriptor) {
	all := item.ParentFile().Messages()
	for i := range all.Len() {
		if list := rows(all.Get(i)); list != nil && list.Message() == item {
			return dynamicpb.NewMessage(all.Get(i)), list
		}
	}
	return nil, nil
}

// watch prints what a stream brings until it ends; being interrupted is the
// usual end.
func (c *command) watch(ctx context.Context, call *connect.Client[dynamicpb.Message, dynamicpb.Message], l *line, out *printer) error {
	stream, err := call.CallServerStream(ctx, connect.NewRequest(l.msg))
	if err != nil {
		return err
	}
	defer stream.Close()
	item := watched(c.method)
	for stream.Receive() {
		m := stream.Msg().ProtoReflect()
		if !m.Has(item) {
			continue // a sign of life
		}
		if out.json {
			err = printJSON(out.w, m.Get(item).Message().Interface(), "")
		} else {
			one, list := listing(item.Message())
			one.Mutable(list).List().Append(m.Get(item))
			err = out.print(one)
		}
		if err != nil {
			return err
		}
	}
	if ctx.Err() != nil {
		return nil
	}
	return stream.Err()
}

func (c *command) client(env Env, server, token string) *connect.Client[dynamicpb.Message, dynamicpb.Message] {
	return connect.NewClient[dynamicpb.Message, dynamicpb.Message](
		bearer{env.client(), token}, server+"/"+string(c.method.Parent().FullName())+"/"+string(c.method.Name()),
		connect.WithSchema(c.method), connect.WithReadMaxBytes(64<<20),
		connect.WithResponseInitializer(func(_ connect.Spec, v any) error {
			if m, ok := v.(*dynamicpb.Message); ok {
				*m = *dynamicpb.NewMessage(c.method.Output())
			}
			return nil
		}))
}

// bearer sends the access token and says what program this is.
type bearer struct {
	c     *http.Client
	token string
}

func (b bearer) Do(r *http.Request) (*http.Response, error) {
	r.Header.Set("Authorization", "Bearer "+b.token)
	r.Header.Set("Muniment-Source", "cli")
	return b.c.Do(r)
}

// client answers an HTTP client that follows no redirects: the token is for
// one server only.
func (env Env) client() *http.Client {
	c := http.Client{}
	if env.HTTP != nil {
		c = *env.HTTP
	}
	if c.Transport == nil {
		c.Transport = transport()
	}
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &c
}

// transport is Go's own, but that names under localhost are this machine whether
// the resolver knows it or not (RFC 6761 §6.3).
func transport() http.RoundTripper {
	t, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		return http.DefaultTransport
	}
	t = t.Clone()
	dial := t.DialContext
	t.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		if host, port, err := net.SplitHostPort(addr); err == nil && strings.HasSuffix(host, ".localhost") {
			addr = net.JoinHostPort("localhost", port)
		}
		return dial(ctx, network, addr)
	}
	return t
}

// explain says what an error means and what to do.
func (c *command) explain(l *line, err error) error {
	if err == nil {
		return nil
	}
	var ce *connect.Error
	if !errors.As(err, &ce) {
		return err // of the standard output, or one of ours
	}
	f := api.Explain(err)
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s: ", c.noun, c.verb)
	if f.Field != "" {
		fmt.Fprintf(&b, "%s: ", strings.ReplaceAll(clean(f.Field), "_", "-"))
	}
	b.WriteString(clean(f.Message))
	if f.Position > 0 {
		fmt.Fprintf(&b, " (position %d)", f.Position)
	}
	kind := f.Kind
	if !c.changes() && kind == munimentv1.FaultKind_FAULT_KIND_UNKNOWN {
		kind = munimentv1.FaultKind_FAULT_KIND_UNAVAILABLE
	}
	// Without the server's own word for it, a change that was sent may have
	// been made.
	unsure := c.changes() && f.RequestId == "" && kind == munimentv1.FaultKind_FAULT_KIND_UNAVAILABLE && !refused(err)
	switch {
	case kind == munimentv1.FaultKind_FAULT_KIND_UNAUTHENTICATED:
		b.WriteString("\nRun muniment login, or set MUNIMENT_TOKEN.")
	case kind == munimentv1.FaultKind_FAULT_KIND_UNKNOWN, unsure:
		fmt.Fprintf(&b, "\nIt may have happened. Repeat the command with --command-id %s: it happens at most once.", l.command)
	case kind == munimentv1.FaultKind_FAULT_KIND_INTERNAL && f.RequestId != "":
		fmt.Fprintf(&b, "\nThe operator finds it in the log under request %s.", clean(f.RequestId))
	}
	return &failure{b.String(), unsure || kind == munimentv1.FaultKind_FAULT_KIND_UNKNOWN}
}

// refused reports whether nobody answered at the address: nothing was sent.
func refused(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

// whereAndWho finds the server and the access token for it: that of the
// environment, one for the machine user whose secret is there, or that of login.
func whereAndWho(ctx context.Context, env Env, server string) (where, token string, err error) {
	s, err := openStore(env)
	if err != nil {
		return "", "", err
	}
	if server == "" {
		server = s.Last
	}
	if server == "" {
		return "", "", &Usage{"which server? Give --url, set MUNIMENT_URL, or run muniment login --url URL"}
	}
	server, err = checkURL(server)
	if err != nil {
		return "", "", err
	}
	if token = env.Getenv("MUNIMENT_TOKEN"); token != "" {
		return server, strings.TrimSpace(token), nil
	}
	if id, secret := env.Getenv("MUNIMENT_CLIENT_ID"), env.Getenv("MUNIMENT_CLIENT_SECRET"); id != "" || secret != "" {
		token, err = machineToken(ctx, env, server, id, secret)
		return server, token, err
	}
	if token = s.token(server); token == "" {
		return "", "", &failure{msg: "not signed in to " + server + ", or no longer.\nRun muniment login, or set MUNIMENT_TOKEN, or MUNIMENT_CLIENT_ID and MUNIMENT_CLIENT_SECRET."}
	}
	return server, token, nil
}

// checkURL answers the address of a server without a slash at its end. A token
// goes over https, or over http to this machine, and nowhere else.
func checkURL(s string) (string, error) {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || strings.Trim(u.Path, "/") != "" {
		return "", &Usage{fmt.Sprintf("%q is not the address of a server, such as https://id.example.org", clean(s))}
	}
	ip := net.ParseIP(u.Hostname())
	local := u.Hostname() == "localhost" || strings.HasSuffix(u.Hostname(), ".localhost") || ip != nil && ip.IsLoopback()
	if u.Scheme != "https" && (u.Scheme != "http" || !local) {
		return "", &Usage{"an access token is sent over https only, or over http to this machine itself"}
	}
	return u.Scheme + "://" + u.Host, nil
}

// discard reads the rest of a body, as far as is sensible, so that the
// connection can be used again.
func discard(body io.ReadCloser) {
	io.Copy(io.Discard, io.LimitReader(body, 64<<10)) //nolint:errcheck // nothing depends on it
	body.Close()
}
