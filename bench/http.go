package bench

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"sync/atomic"
	"text/tabwriter"
	"time"

	"muniment.dev/event"
	"muniment.dev/eventlog"
	"muniment.dev/fault"
)

// HTTPReport is how fast a server answers over HTTP, beside a handler that does
// the least that could be an answer.
type HTTPReport struct {
	Clients int          `json:"clients"`
	Kinds   []HTTPResult `json:"requests"`
}

// HTTPResult is one kind of request.
type HTTPResult struct {
	Name      string   `json:"name"`
	Beside    string   `json:"beside"` // what the bare handler does
	PerSecond float64  `json:"per_second"`
	Bare      float64  `json:"bare_per_second"`
	Ratio     float64  `json:"ratio"` // median of the rounds
	Lowest    float64  `json:"ratio_lowest"`
	Highest   float64  `json:"ratio_highest"`
	CPURatio  float64  `json:"cpu_ratio"` // of processor time, client included; suffers less from what else the machine does
	CPU       Duration `json:"cpu"`       // processor time of one request, client included
	BareCPU   Duration `json:"bare_cpu"`
	Target    float64  `json:"target"`
	P50       Duration `json:"p50"`
	P99       Duration `json:"p99"`
	BareP50   Duration `json:"bare_p50"`
	BareP99   Duration `json:"bare_p99"`
}

// The least ratios that we want to keep.
const (
	readTarget   = 0.35
	createTarget = 0.5
	tokenTarget  = 0.5
)

// httpClients is how many clients send requests at once.
const httpClients = 16

// kind is a kind of request and what stands beside it.
type kind struct {
	name, beside string
	target       float64
	request      func(i int64) request                            // one that is like the others
	prepare      func(n int) (func(context.Context) error, error) // makes what the bare handler does before it answers, n times; nil: nothing
}

// http measures requests over HTTP.
func (b *bench) http(ctx context.Context) (err error) {
	b.say("http: a server with %d people", b.Preload)
	w, err := b.newWeb(ctx, engine{}, "http", httpClients)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	in, err := b.prepare(ctx, "http-bare", b.Preload)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.close()) }()
	kinds, err := w.kinds(ctx, in, b)
	if err != nil {
		return err
	}
	b.report.HTTP = &HTTPReport{Clients: httpClients}
	for _, k := range kinds {
		if !slices.Contains(b.Requests, k.name) {
			continue
		}
		if !b.Beside {
			if err := b.alone(ctx, w, k); err != nil {
				return fault.Wrap(k.name, err)
			}
			continue
		}
		r, err := b.beside(ctx, w, k)
		if err != nil {
			return fault.Wrap(k.name, err)
		}
		b.report.HTTP.Kinds = append(b.report.HTTP.Kinds, r)
	}
	return nil
}

// kinds are the requests that are measured.
func (w *web) kinds(ctx context.Context, in *instance, b *bench) ([]kind, error) {
	if err := w.addApplication(ctx); err != nil {
		return nil, err
	}
	admin, err := w.token(ctx, "muniment-cli", "", "openid urn:muniment:scope:api")
	if err != nil {
		return nil, fault.Wrap("sign the command line in", err)
	}
	person, err := w.token(ctx, w.app, w.secret, "openid profile email")
	if err != nil {
		return nil, fault.Wrap("sign in to the application", err)
	}
	machine, machineSecret, err := w.addMachine(ctx)
	if err != nil {
		return nil, fault.Wrap("make a machine user", err)
	}
	bare, err := b.bare(ctx, in)
	if err != nil {
		return nil, err
	}
	in.closers = append(in.closers, bare.close)
	api := http.Header{"Authorization": {"Bearer " + admin}, "Content-Type": {"application/json"}}
	always := func(q request) func(int64) request { return func(int64) request { return q } }
	return []kind{
		{"get user", "the same bytes", readTarget, always(request{http.MethodGet, w.URL() + "/v1/users/" + w.owner.String(), api, nil}), nil},
		{"userinfo", "the same bytes", readTarget, always(request{http.MethodGet, w.URL() + "/oauth/userinfo", http.Header{"Authorization": {"Bearer " + person}}, nil}), nil},
		{"introspection", "the same bytes", readTarget, always(w.form("/oauth/introspect", url.Values{"token": {person}}, w.app, w.secret)), nil},
		{"create user", "one record of that size, group-committed", createTarget, func(int64) request { return w.creation(api) },
			func(n int) (func(context.Context) error, error) { return in.commits(ctx, bare, n) }},
		{"client credentials", "one ES256 signature, and one record group-committed", tokenTarget,
			always(w.form("/oauth/token", url.Values{"grant_type": {"client_credentials"}}, machine, machineSecret)),
			func(n int) (func(context.Context) error, error) { return in.signsAndCommits(ctx, bare, n) }},
	}, nil
}

// signsAndCommits is commits, with an ES256 signature before each.
func (in *instance) signsAndCommits(ctx context.Context, bare *bareWriter, n int) (func(context.Context) error, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	commit, err := in.commits(ctx, bare, n)
	return func(ctx context.Context) error {
		digest := sha256.Sum256(make([]byte, 600)) // as long as the token is
		if _, err := ecdsa.SignASN1(rand.Reader, key, digest[:]); err != nil {
			return err
		}
		return commit(ctx)
	}, err
}

// creation asks for another person.
func (w *web) creation(h http.Header) request {
	name := event.NewID().String()[:16]
	body, _ := json.Marshal(map[string]string{"organizationId": w.organization, "email": "person-" + name + "@bench.example", "givenName": "Given" + name, "familyName": "Family" + name})
	return request{http.MethodPost, w.URL() + "/v1/users", h, body}
}

// commits prepares n records, and commits one of them for each call.
func (in *instance) commits(ctx context.Context, bare *bareWriter, n int) (func(context.Context) error, error) {
	ops := make([]operation, n)
	for i := range ops {
		r := in.registration()
		drafts, err := in.seal(ctx, r)
		if err != nil {
			return nil, err
		}
		var fresh []eventlog.KeyUse
		for _, blk := range drafts[0].Blocks {
			if blk.Subject.ID == r.command.User {
				fresh = append(fresh, eventlog.KeyUse{Subject: blk.Subject, Key: blk.Key})
			}
		}
		ops[i] = bare.prepare(in.log.ID(), r, drafts[0], fresh)
	}
	var next atomic.Int64
	return func(ctx context.Context) error { return ops[next.Add(1)-1](ctx) }, nil
}

// bareHandler answers with bytes that are there already, and does before what
// it is told to.
type bareHandler struct {
	header http.Header
	body   []byte
	before atomic.Pointer[func(context.Context) error]
}

// ServeHTTP implements http.Handler.
func (h *bareHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	io.Copy(io.Discard, r.Body)
	if f := h.before.Load(); f != nil {
		if err := (*f)(r.Context()); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
	}
	for name, values := range h.header {
		w.Header()[name] = values
	}
	w.Write(h.body)
}

// beside measures one kind of request and its bare handler in turns.
func (b *bench) beside(ctx context.Context, w *web, k kind) (r HTTPResult, err error) {
	header, body, err := exchange(ctx, w.client, k.request(0))
	if err != nil {
		return r, err
	}
	header.Del("Date")
	h := &bareHandler{header: header, body: body}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return r, err
	}
	defer serveOn(ln, h)()
	r = HTTPResult{Name: k.name, Beside: k.beside, Target: k.target}
	var rates, bares, ratios, cpus []float64
	var p50, p99, bp50, bp99, cpu, bareCPU []time.Duration
	counts := [2]int{200, 200}
	for round := range b.Rounds + 1 {
		ours, err := together(ctx, httpClients, sends(w.client, counts[0], k.request, ""))
		if err != nil {
			return r, err
		}
		if k.prepare != nil {
			before, err := k.prepare(counts[1])
			if err != nil {
				return r, err
			}
			h.before.Store(&before)
		}
		theirs, err := together(ctx, httpClients, sends(w.client, counts[1], k.request, "http://"+ln.Addr().String()))
		if err != nil {
			return r, err
		}
		counts = [2]int{enough(ours, b.Duration), enough(theirs, b.Duration)}
		if round == 0 { // for warming up, and to know how many fill the time
			continue
		}
		b.say("http, %s, round %d of %d: %.0f/s, bare %.0f/s", k.name, round, b.Rounds, ours.rate(), theirs.rate())
		rates, bares, ratios = append(rates, ours.rate()), append(bares, theirs.rate()), append(ratios, ours.rate()/theirs.rate())
		if ours.cpu > 0 {
			cpus = append(cpus, float64(theirs.cpuEach())/float64(ours.cpuEach()))
			cpu, bareCPU = append(cpu, ours.cpuEach()), append(bareCPU, theirs.cpuEach())
		}
		p50, p99 = append(p50, ours.quantile(.5)), append(p99, ours.quantile(.99))
		bp50, bp99 = append(bp50, theirs.quantile(.5)), append(bp99, theirs.quantile(.99))
	}
	r.PerSecond, r.Bare, r.Ratio, r.Lowest, r.Highest = median(rates), median(bares), median(ratios), slices.Min(ratios), slices.Max(ratios)
	r.CPURatio, r.CPU, r.BareCPU = median(cpus), Duration(median(cpu)), Duration(median(bareCPU))
	r.P50, r.P99, r.BareP50, r.BareP99 = Duration(median(p50)), Duration(median(p99)), Duration(median(bp50)), Duration(median(bp99))
	return r, nil
}

// alone measures one kind of request without its bare handler, and only says
// what it found: it is for profiles.
func (b *bench) alone(ctx context.Context, w *web, k kind) error {
	n := 200
	for round := range b.Rounds + 1 {
		t, err := together(ctx, httpClients, sends(w.client, n, k.request, ""))
		if err != nil {
			return err
		}
		b.say("http, %s, round %d of %d: %.0f/s, %v of processor time each", k.name, round, b.Rounds, t.rate(), Duration(t.cpuEach()))
		n = enough(t, b.Duration)
	}
	return nil
}

// enough is how many operations fill a duration.
func enough(t timed, d time.Duration) int { return max(100, int(t.rate()*d.Seconds())) }

// sends are n requests, to another server if base says so.
func sends(c *http.Client, n int, q func(int64) request, base string) []operation {
	ops := make([]operation, n)
	for i := range ops {
		x := q(int64(i))
		if base != "" {
			x.url = base + "/"
		}
		ops[i] = func(ctx context.Context) error {
			_, _, err := exchange(ctx, c, x)
			return err
		}
	}
	return ops
}

func (r *HTTPReport) writeText(w io.Writer) {
	fmt.Fprintf(w, "\nOver HTTP, %d clients\n\n", r.Clients)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "request\tper second\tbare\tratio\tlowest\thighest\tCPU ratio\tCPU\tbare CPU\twanted\tp50\tp99\tbare p50\tbare p99\t")
	for _, k := range r.Kinds {
		fmt.Fprintf(t, "%s\t%.0f\t%.0f\t%.2f\t%.2f\t%.2f\t%.2f\t%s\t%s\t>= %.2f\t%s\t%s\t%s\t%s\t\n", k.Name, k.PerSecond, k.Bare, k.Ratio, k.Lowest, k.Highest, k.CPURatio, k.CPU, k.BareCPU, k.Target, k.P50, k.P99, k.BareP50, k.BareP99)
	}
	t.Flush()
	fmt.Fprintf(w, "\nbare: a net/http handler that returns the same bytes; for changes, after one record of that size was group-committed\nCPU: processor time of one request, client included; in the middle of the rounds, as all figures are\n")
}
