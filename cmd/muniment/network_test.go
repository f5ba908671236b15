package main

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// Behind a proxy on the same machine --external-url alone makes issuer, links
// and cookies right, and the address in the record is the one that the proxy
// names: the last in X-Forwarded-For, whatever the browser put before it.
func TestBehindProxy(t *testing.T) {
	const outside = "https://id.example.com"
	data := t.TempDir()
	in := &installation{data: data, program: start(t, stores(t), "muniment", "serve", "--data", data, "--listen", freeAddress(t), "--external-url", outside)}
	if url := in.await(`^Muniment serves (\S+)`); url != outside {
		t.Fatalf("it says that it serves %s", url)
	}
	link := in.await(`^  (http\S+/setup/\S+)$`)
	if !strings.HasPrefix(link, outside+"/setup/") {
		t.Fatalf("the link is %s", link)
	}
	inside, err := url.Parse("http://" + in.cmd.Args[5])
	if err != nil {
		t.Fatal(err)
	}
	proxy := httptest.NewTLSServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(inside)
		r.Out.Host = r.In.Host
		r.Out.Header.Set("X-Forwarded-For", r.In.Header.Get("X-Forwarded-For")+", 203.0.113.7")
	}})
	t.Cleanup(proxy.Close)
	p := newPerson(t, "admin@localhost", ownerPassword)
	p.client.Transport = spoofing{&http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // the proxy of this test
		DialContext: func(context.Context, string, string) (net.Conn, error) {
			return net.Dial("tcp", proxy.Listener.Addr().String())
		}}}
	p.useLink(link)
	res := p.get(outside + "/logout")
	p.submit(res, form.FindString(p.last), url.Values{})
	p = &person{email: p.email, password: p.password, fail: p.fail, client: &http.Client{Transport: p.client.Transport}}
	p.client.Jar, _ = cookiejar.New(nil)
	res = p.get(outside + "/login")
	checkCookies(t, res)
	res = p.submit(res, form.FindString(p.last), url.Values{"email": {p.email}, "password": {p.password}})
	if res.Request.URL.Host != "id.example.com" || !strings.HasPrefix(res.Request.URL.Path, "/console") {
		t.Errorf("after sign-in the browser is at %s", res.Request.URL)
	}
	if hsts := res.Header.Get("Strict-Transport-Security"); hsts == "" {
		t.Error("browsers are not told to come by https only")
	}
	p.get(outside + "/console/events?type=session.begun")
	events := p.last
	if strings.Contains(events, "198.51.100.99") {
		t.Error("the record holds the address that the browser made up")
	}
	record := regexpFirst(t, `href="(/console/events/\d+)"`, events)
	p.get(outside + record)
	if !strings.Contains(p.last, "203.0.113.7") || strings.Contains(p.last, "127.0.0.1") {
		t.Errorf("the record of the session does not hold the forwarded address")
	}
	var meta map[string]any
	p.get(outside + "/.well-known/openid-configuration")
	if err := json.Unmarshal([]byte(p.last), &meta); err != nil {
		t.Fatal(err)
	}
	for name, v := range meta {
		if s, ok := v.(string); ok && (name == "issuer" && s != outside || strings.HasSuffix(name, "_endpoint") && !strings.HasPrefix(s, outside+"/")) {
			t.Errorf("discovery names %s %s", name, s)
		}
	}
	in.stop()
}

// spoofing is a browser that lies about where it is.
type spoofing struct{ *http.Transport }

func (s spoofing) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("X-Forwarded-For", "198.51.100.99")
	return s.Transport.RoundTrip(r)
}

// checkCookies wants every cookie of a page under https to be bound to the host
// (RFC 6265bis §4.1.3.2) and out of reach of scripts.
func checkCookies(t *testing.T, res *http.Response) {
	t.Helper()
	if len(res.Cookies()) == 0 {
		t.Error("the page sets no cookie")
	}
	for _, c := range res.Cookies() {
		if !strings.HasPrefix(c.Name, "__Host-") || !c.Secure || !c.HttpOnly || c.Path != "/" || c.Domain != "" || c.SameSite == http.SameSiteNoneMode || c.SameSite == 0 {
			t.Errorf("the cookie %s", c)
		}
	}
}

// Without a proxy nobody says where a request comes from but the network.
func TestForwardedForIsNotBelieved(t *testing.T) {
	in := install(t)
	p := newPerson(t, "admin@localhost", ownerPassword)
	p.client.Transport = spoofing{&http.Transport{}}
	p.open(in.url + "/console/events?type=session.begun")
	p.get(in.url + regexpFirst(t, `href="(/console/events/\d+)"`, p.last))
	if !strings.Contains(p.last, "127.0.0.1") || strings.Contains(p.last, "198.51.100.99") {
		t.Error("the record holds the address that the browser made up")
	}
}

// Who types 127.0.0.1 is led to localhost, where cookies and forms are good,
// and nobody is led anywhere else.
func TestOtherNames(t *testing.T) {
	in := install(t)
	p := newPerson(t, in.owner.email, in.owner.password)
	if at := p.open("http://" + in.address() + "/console/people?state=active"); at.String() != in.url+"/console/people?state=active" {
		t.Errorf("the owner is led to %s: %s", at, p.title())
	}
	for _, path := range []string{"/login", "/setup/secret", "/console//evil.example/", "//evil.example/login"} {
		req, err := http.NewRequest("GET", "http://"+in.address()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = "evil.example"
		res, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		to := res.Header.Get("Location")
		own := strings.HasPrefix(to, "/") && !strings.HasPrefix(to, "//") || strings.HasPrefix(to, in.url+"/")
		if to != "" && !own {
			t.Errorf("GET %s as evil.example is led to %s", path, to)
		}
	}
}

// TLS by files: https with HTTP/2, cookies and links for https; a request in
// clear to the same port gets no secret.
func TestTLS(t *testing.T) {
	cert, key, pool := certificate(t, t.TempDir())
	in := serve(t, stores(t), t.TempDir(), "--tls-cert", cert, "--tls-key", key)
	if !strings.HasPrefix(in.url, "https://localhost:") {
		t.Fatalf("it serves %s", in.url)
	}
	link := in.await(`^  (https\S+/setup/\S+)$`)
	p := newPerson(t, "admin@localhost", ownerPassword)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true}
	p.client.Transport = transport
	p.useLink(link)
	res := p.get(in.url + "/console/people")
	if res.ProtoMajor != 2 || res.TLS == nil || res.TLS.Version < tls.VersionTLS12 {
		t.Errorf("the connection speaks %s", res.Proto)
	}
	if !strings.Contains(p.last, "Administrator") {
		t.Errorf("the owner sees %s", p.title())
	}
	p.client.Jar, _ = cookiejar.New(nil)
	checkCookies(t, p.get(in.url+"/login"))
	plain, err := http.Get("http://" + in.address() + "/login")
	if err == nil {
		plain.Body.Close()
		if plain.StatusCode != http.StatusBadRequest || len(plain.Cookies()) > 0 {
			t.Errorf("in clear it answers %s", plain.Status)
		}
	}
	old := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MaxVersion: tls.VersionTLS11}} //nolint:gosec // to be refused
	if res, err := (&http.Client{Transport: old}).Get(in.url + "/healthz"); err == nil {
		res.Body.Close()
		t.Error("it speaks TLS 1.1")
	}
	if strings.Contains(in.errors(), "127.0.0.1") {
		t.Errorf("the log holds addresses:\n%s", in.errors())
	}
	transport.CloseIdleConnections()
	in.owner, in.config = p, []string{"SSL_CERT_FILE=" + cert, "XDG_CONFIG_HOME=" + t.TempDir(), "HOME=" + t.TempDir()}
	if runtime.GOOS == "linux" { // where the environment names the roots
		in.config[0], in.config[1] = in.config[1], in.config[0]
		in.login()
		in.cli("me", "get")
	}
	// Renewed files are used without a new start; broken ones are not.
	_, _, renewed := certificate(t, filepath.Dir(cert))
	at := time.Now().Add(time.Minute) // clocks of file systems are coarse
	os.Chtimes(cert, at, at)
	got, err := (&http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: renewed}}}).Get(in.url + "/healthz")
	if err != nil {
		t.Fatalf("with the renewed certificate: %v", err)
	}
	got.Body.Close()
	if err := os.WriteFile(cert, []byte("not a certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err = (&http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: renewed}}}).Get(in.url + "/healthz")
	for end := time.Now().Add(10 * time.Second); err == nil && !strings.Contains(in.errors(), "the old one stays in use") && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond) // the log comes through a pipe
	}
	if err != nil || !strings.Contains(in.errors(), "the old one stays in use") {
		t.Fatalf("with broken files: %v; the log says %s", err, in.errors())
	}
	got.Body.Close()
	in.stop()
}

// certificate makes a certificate for localhost, files in dir of it and of its
// key, and a pool that trusts it.
func certificate(t *testing.T, dir string) (cert, key string, pool *x509.CertPool) {
	t.Helper()
	signer, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, c, c, signer.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for path, b := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(b), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pool = x509.NewCertPool()
	pool.AppendCertsFromPEM(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	return cert, key, pool
}

// Connections that say nothing, or say it slowly, do not keep others from
// being served, nor the server from ending.
func TestSilentConnections(t *testing.T) {
	in := install(t)
	for range 50 {
		c, err := net.Dial("tcp", in.address())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		io.WriteString(c, "GET /login HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
	}
	c, err := net.Dial("tcp", in.address())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, "GET /healthz HTTP/1.1\r\nHost: "+strings.TrimPrefix(in.url, "http://")+"\r\n\r\n")
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil || res.StatusCode != 200 {
		t.Fatalf("beside them the server answers %v %v", res, err)
	}
	in.signal(15)
	if code, took := in.wait(); code != 0 || took > 15*time.Second {
		t.Errorf("after SIGTERM: exit code %d after %v", code, took)
	}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}
