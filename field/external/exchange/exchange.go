// Package exchange speaks with external systems: a POST that brings events, and
// a GET that asks for some. It promises what package webhook does of where it
// connects to; that no answer is read beyond a bound, in size and in time; that
// no redirect is followed; and that no error says anything which the other
// system said. What an answer means for the log is for its callers.
package exchange

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"muniment.dev/fault"
	"muniment.dev/hook/webhook"
)

// Bounds of what is read of answers, and how long a call may take all in all.
const (
	mostAnswer = 1 << 20
	mostPage   = 8 << 20
	patience   = 30 * time.Second
)

// Client calls external systems. It is safe for concurrent use.
type Client struct {
	http  *http.Client
	close func()
}

// New makes a Client. Close must be called.
func New(o webhook.Options) *Client {
	if o.Timeout == 0 {
		o.Timeout = patience
	}
	client, end := webhook.Client(o)
	return &Client{client, end}
}

// Close closes connections that wait for the next call.
func (c *Client) Close() { c.close() }

// Target is an external system.
type Target struct {
	URL                    string
	Key                    []byte // signs, as Standard Webhooks wants it; nil: nothing does
	Bearer, Name, Password string // RFC 6750 §2.1; RFC 7617
	Headers                map[string]string
}

// Reason is the class of a failure.
type Reason string

// The reasons.
const (
	Unreachable Reason = "unreachable" // no connection, or it broke
	TimedOut    Reason = "timed-out"   // no answer in time
	Forbidden   Reason = "forbidden"   // the address leads where nothing may be sent
	Answered    Reason = "answered"    // with a status that is no success
	Malformed   Reason = "malformed"   // the answer is not what was agreed
	TooLarge    Reason = "too-large"   // the answer is
)

// Failure is why a call did not do what it was for.
type Failure struct {
	Reason Reason
	Status int           // that was answered; 0: none was
	After  time.Duration // the external system asks not to be called before
	err    error
}

// Error says it, without anything that the external system said.
func (f *Failure) Error() string {
	switch f.Reason {
	case Answered:
		return "the external system answered " + strconv.Itoa(f.Status)
	case TimedOut:
		return "the external system did not answer in time"
	case Forbidden:
		return "the address leads into a network that must not be called"
	case Malformed:
		return "the external system's answer is not what was agreed"
	case TooLarge:
		return "the external system's answer is too large"
	}
	return "the external system cannot be reached"
}

// Unwrap returns the cause, for operators.
func (f *Failure) Unwrap() error { return f.err }

// OfEvents reports whether the external system has refused what was sent, and
// not the sender, the address or the moment: sending the same again is no use.
func (f *Failure) OfEvents() bool {
	switch f.Status {
	case http.StatusBadRequest, http.StatusConflict, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
		return true
	}
	return false
}

// Batch are events on their way.
type Batch struct {
	ID   string // the same for the same events: by it a repetition is known
	Time time.Time
	Body []byte // a CloudEvents batch
}

// batchType is that of several CloudEvents (CloudEvents HTTP binding §3.3).
const batchType = "application/cloudevents-batch+json; charset=utf-8"

// Post brings events, and answers what became of those that were not taken. It
// fails with a *Failure if that is not known of any.
func (c *Client) Post(ctx context.Context, t Target, b Batch) (Verdicts, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, t.URL, bytes.NewReader(b.Body))
	if err != nil {
		return nil, fault.Wrap("call an external system", err)
	}
	req.Header.Set("Content-Type", batchType)
	req.Header.Set("Idempotency-Key", b.ID)
	t.prove(req, b)
	body, err := c.call(req, b.Time, mostAnswer)
	if err != nil {
		return nil, err
	}
	return verdicts(body)
}

// Get asks for what stands behind a cursor, which is the external system's own;
// empty is the beginning.
func (c *Client) Get(ctx context.Context, t Target, id string, now time.Time, cursor string, limit int) (Page, error) {
	u, err := url.Parse(t.URL)
	if err != nil {
		return Page{}, fault.Wrap("call an external system", err)
	}
	q := u.Query()
	q.Set("limit", strconv.Itoa(limit))
	if q.Del("cursor"); cursor != "" {
		q.Set("cursor", cursor)
	}
	u.RawQuery = q.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return Page{}, fault.Wrap("call an external system", err)
	}
	t.prove(req, Batch{ID: id, Time: now})
	body, err := c.call(req, now, mostPage)
	if err != nil {
		return Page{}, err
	}
	return page(body)
}

// prove puts what a request proves itself by.
func (t Target) prove(req *http.Request, b Batch) {
	for name, v := range t.Headers {
		req.Header.Set(name, v)
	}
	switch {
	case t.Key != nil:
		webhook.Sign(req.Header, b.ID, b.Time, b.Body, t.Key)
	case t.Bearer != "":
		req.Header.Set("Authorization", "Bearer "+t.Bearer)
	case t.Name != "":
		req.Header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(t.Name+":"+t.Password)))
	}
}

// call makes a call and answers the body of a success, which is empty or JSON.
func (c *Client) call(req *http.Request, now time.Time, most int64) ([]byte, error) {
	if req.URL.Scheme == "http" && !webhook.PlainAllowed(req.URL.Hostname()) {
		return nil, &Failure{Reason: Forbidden, err: webhook.ErrForbidden}
	}
	req.Header.Set("User-Agent", "Muniment")
	req.Header.Set("Accept", "application/json")
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, failure(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		io.CopyN(io.Discard, resp.Body, 4<<10) //nolint:errcheck // for the connection to be used again; nothing is kept
		return nil, &Failure{Reason: Answered, Status: resp.StatusCode, After: webhook.RetryAfter(resp.Header.Get("Retry-After"), now)}
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, most+1))
	switch {
	case err != nil:
		return nil, failure(err)
	case int64(len(body)) > most:
		return nil, &Failure{Reason: TooLarge}
	}
	body = bytes.TrimSpace(body)
	// What is not JSON comes from somebody else, such as a page of a network that
	// wants a password first: it is no success, whatever its status.
	if len(body) > 0 && !isJSON(resp.Header.Get("Content-Type")) {
		return nil, &Failure{Reason: Malformed}
	}
	return body, nil
}

// failure is why a call came to nothing. The error of net/http names the whole
// address, with its cursor: only what is inside it is kept.
func failure(err error) *Failure {
	var inner *url.Error
	if errors.As(err, &inner) {
		err = inner.Err
	}
	f := &Failure{Reason: Unreachable, err: err}
	var timeout net.Error
	switch {
	case errors.Is(err, webhook.ErrForbidden):
		f.Reason = Forbidden
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		f.Reason = TimedOut
	}
	return f
}

func isJSON(text string) bool {
	name, _, err := mime.ParseMediaType(text)
	return err == nil && (strings.HasSuffix(name, "/json") || strings.HasSuffix(name, "+json"))
}
