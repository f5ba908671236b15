// Package client is what the examples need to talk to Muniment: JSON over HTTP,
// with tokens of a machine user. It knows of Muniment what its documents say and
// imports nothing of it, so that it can be copied into a program of your own.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"golang.org/x/oauth2/clientcredentials"
)

// scope is that of tokens which open the API.
const scope = "urn:muniment:scope:api"

// Client calls the API of one server as one machine user. It is safe for
// concurrent use.
type Client struct {
	ID string // of the machine user

	url  string
	http *http.Client
}

// New is a client of the server at an address. It gets its tokens by itself
// (RFC 6749 §4.4), and a new one when the old one ends.
func New(ctx context.Context, url, id, secret string) *Client {
	url = strings.TrimSuffix(url, "/")
	c := clientcredentials.Config{ClientID: id, ClientSecret: secret, TokenURL: url + "/oauth/token", Scopes: []string{scope}}
	return &Client{ID: id, url: url, http: c.Client(ctx)}
}

// Of is the client of a service: of the machine user whose id stands in an
// environment variable, such as ORDERS, and whose secret in another, such as
// ORDERS_SECRET, of the server at MUNIMENT_URL.
func Of(ctx context.Context, service string) (*Client, error) {
	var values []string
	for _, name := range []string{"MUNIMENT_URL", service, service + "_SECRET"} {
		v := os.Getenv(name)
		if v == "" {
			return nil, fmt.Errorf("%s is not set; the example's README.md says how it comes to be", name)
		}
		values = append(values, v)
	}
	return New(ctx, values[0], values[1], values[2]), nil
}

// Problem is how the server says no (RFC 9457).
type Problem struct {
	Kind   string `json:"kind"` // such as denied, or conflict
	Detail string `json:"detail"`
	Field  string `json:"field"`
}

func (p *Problem) Error() string {
	if p.Field == "" {
		return p.Kind + ": " + p.Detail
	}
	return fmt.Sprintf("%s: %s: %s", p.Kind, p.Field, p.Detail)
}

// Is reports whether an error is a problem of a kind.
func Is(err error, kind string) bool {
	var p *Problem
	return errors.As(err, &p) && p.Kind == kind
}

// Get reads what is at a path into out.
func (c *Client) Get(ctx context.Context, path string, out any) error {
	return c.do(ctx, http.MethodGet, path, nil, out)
}

// Post sends in to a path and reads the answer into out, if that is not nil.
func (c *Client) Post(ctx context.Context, path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	return c.do(ctx, http.MethodPost, path, bytes.NewReader(body), out)
}

func (c *Client) do(ctx context.Context, method, path string, body io.Reader, out any) error {
	req, err := http.NewRequestWithContext(ctx, method, c.url+path, body)
	if err != nil {
		return err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	switch {
	case err != nil:
		return err
	case res.StatusCode/100 == 2 && out != nil:
		return json.Unmarshal(text, out)
	case res.StatusCode/100 == 2:
		return nil
	}
	p := &Problem{}
	if json.Unmarshal(text, p) != nil || p.Kind == "" {
		return fmt.Errorf("%s %s: %s", method, path, res.Status)
	}
	return p
}
