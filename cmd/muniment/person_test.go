package main

import (
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"
)

// person is somebody with a browser without JavaScript: a client with cookies
// that fills forms in.
type person struct {
	email, password string
	client          *http.Client
	fail            func(format string, args ...any)
	last            string // the page that is shown
}

func newPerson(t *testing.T, email, password string) *person {
	t.Helper()
	return &person{email: email, password: password, client: newClient(), fail: func(format string, args ...any) {
		t.Helper()
		t.Fatalf(format, args...)
	}}
}

func newClient() *http.Client {
	jar, _ := cookiejar.New(nil) // never fails without options
	return &http.Client{Jar: jar, Timeout: 30 * time.Second}
}

// openAsPerson is what xdg-open is in the tests: it opens an address before the
// eyes of the person whom the environment describes.
func openAsPerson() {
	p := &person{email: os.Getenv("PERSON_EMAIL"), password: os.Getenv("PERSON_PASSWORD"), client: newClient(), fail: func(format string, args ...any) {
		fmt.Fprintf(os.Stderr, format+"\n", args...)
		os.Exit(1)
	}}
	p.open(os.Args[1])
	if path := os.Getenv("PERSON_SAW"); path != "" {
		os.WriteFile(path, []byte(p.last), 0o600)
	}
}

var (
	form    = regexp.MustCompile(`(?s)<form[^>]*method="post"[^>]*>.*?</form>`)
	action  = regexp.MustCompile(`action="([^"]+)"`)
	input   = regexp.MustCompile(`<(?:input|button)[^>]*>`)
	named   = regexp.MustCompile(` name="([^"]+)"`)
	valued  = regexp.MustCompile(` value="([^"]*)"`)
	onward  = regexp.MustCompile(`http-equiv="refresh" content="0; url=([^"]+)"`)
	heading = regexp.MustCompile(`(?s)<h1[^>]*>(.*?)</h1>`)
)

// open goes to an address and on from there: it signs in where asked to, agrees
// where asked to, and follows where it is led. It returns where that ended.
func (p *person) open(address string) *url.URL {
	res := p.get(address)
	for range 8 {
		page := p.last
		switch f := form.FindString(page); {
		case onward.MatchString(page):
			to, err := res.Request.URL.Parse(html.UnescapeString(onward.FindStringSubmatch(page)[1]))
			if err != nil {
				p.fail("%v", err)
			}
			res = p.get(to.String())
		case strings.Contains(f, `name="password"`) && strings.Contains(f, `name="email"`):
			if strings.Contains(page, `role="alert"`) {
				p.fail("the sign-in did not work: %s", p.title())
				return res.Request.URL
			}
			res = p.submit(res, f, url.Values{"email": {p.email}, "password": {p.password}})
		case strings.Contains(f, `/login/consent`):
			res = p.submit(res, f, url.Values{"answer": {"agree"}})
		default:
			return res.Request.URL
		}
	}
	p.fail("there is no end to the pages: %s", p.title())
	return &url.URL{}
}

// useLink opens a set-up link and chooses the person's password.
func (p *person) useLink(link string) {
	res := p.get(link)
	f := form.FindString(p.last)
	if !strings.Contains(f, `name="repeat"`) {
		p.fail("%s: the link leads to %s: %s", res.Status, res.Request.URL, p.title())
		return
	}
	res = p.submit(res, f, url.Values{"password": {p.password}, "repeat": {p.password}})
	if strings.HasPrefix(res.Request.URL.Path, "/setup") {
		p.fail("the password is not taken: %s", p.title())
	}
}

func (p *person) get(address string) *http.Response {
	req, err := http.NewRequest("GET", address, nil)
	if err != nil {
		p.fail("%v", err)
	}
	return p.do(req)
}

// submit sends a form with its hidden values and some more.
func (p *person) submit(res *http.Response, f string, values url.Values) *http.Response {
	to := res.Request.URL
	if m := action.FindStringSubmatch(f); m != nil {
		to, _ = to.Parse(html.UnescapeString(m[1]))
	}
	for _, tag := range input.FindAllString(f, -1) {
		name, value := named.FindStringSubmatch(tag), valued.FindStringSubmatch(tag)
		if name != nil && value != nil && !values.Has(name[1]) {
			values.Set(name[1], html.UnescapeString(value[1]))
		}
	}
	req, err := http.NewRequest("POST", to.String(), strings.NewReader(values.Encode()))
	if err != nil {
		p.fail("%v", err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Origin", to.Scheme+"://"+to.Host)
	return p.do(req)
}

func (p *person) do(req *http.Request) *http.Response {
	res, err := p.client.Do(req)
	if err != nil {
		p.fail("%v", err)
		return nil
	}
	b, err := io.ReadAll(res.Body)
	res.Body.Close()
	if err != nil {
		p.fail("%v", err)
	}
	p.last = string(b)
	return res
}

// title is the heading of the page that is shown.
func (p *person) title() string {
	if m := heading.FindStringSubmatch(p.last); m != nil {
		return strings.TrimSpace(html.UnescapeString(m[1]))
	}
	return ""
}

// regexpMaybe is the first group of the first match, or empty.
func regexpMaybe(pattern, text string) string {
	if m := regexp.MustCompile(pattern).FindStringSubmatch(text); m != nil {
		return html.UnescapeString(m[1])
	}
	return ""
}

// regexpFirst is the first group of the first match, which there must be.
func regexpFirst(t *testing.T, pattern, text string) string {
	t.Helper()
	found := regexpMaybe(pattern, text)
	if found == "" {
		t.Fatalf("there is no %s", pattern)
	}
	return found
}
