// Package route reads the google.api.http annotations of methods: which REST
// path means which method. It knows the part of the syntax that our sources
// use (google/api/http.proto): literals, {field} for one whole segment, a verb
// after a colon, and a body that is empty or "*"; anything else is an error
// when the server starts, never a surprise later.
package route

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Route is one binding of a method to REST.
type Route struct {
	// Method is what the path means.
	Method protoreflect.MethodDescriptor
	// HTTP is the HTTP method: GET or POST.
	HTTP string
	// Template is the path as annotated, such as /v1/users/{user_id}:lock.
	Template string
	// Body says that the whole message is the body; otherwise there is none,
	// and what the path does not give stands in the query.
	Body bool
	// Main is false for additional bindings.
	Main bool

	segments []string // literals, and variables as "{name}"
	verb     string   // after the colon; empty if there is none
}

// Of reads the routes of a service, in the order of its methods.
func Of(service protoreflect.ServiceDescriptor) ([]Route, error) {
	var out []Route
	for i := range service.Methods().Len() {
		m := service.Methods().Get(i)
		rule, ok := proto.GetExtension(m.Options(), annotations.E_Http).(*annotations.HttpRule)
		if !ok || rule == nil {
			continue
		}
		for n, r := range append([]*annotations.HttpRule{rule}, rule.AdditionalBindings...) {
			route, err := parse(m, r)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", m.FullName(), err)
			}
			route.Main = n == 0
			out = append(out, route)
		}
	}
	return out, nil
}

var (
	literal  = regexp.MustCompile(`^[a-z0-9-]+$`)
	variable = regexp.MustCompile(`^\{[a-z][a-z0-9_]*\}$`)
	custom   = regexp.MustCompile(`^[a-z][A-Za-z]*$`)
)

func parse(m protoreflect.MethodDescriptor, rule *annotations.HttpRule) (Route, error) {
	r := Route{Method: m, Body: rule.Body == "*"}
	switch {
	case m.IsStreamingClient():
		return r, fmt.Errorf("a stream of requests has no REST form")
	case m.IsStreamingServer() && rule.GetGet() == "":
		return r, fmt.Errorf("a stream is only for GET")
	case rule.GetGet() != "" && rule.Body == "":
		r.HTTP, r.Template = "GET", rule.GetGet()
	case rule.GetPost() != "" && r.Body:
		r.HTTP, r.Template = "POST", rule.GetPost()
	default:
		return r, fmt.Errorf("only get without body and post with body \"*\" are known")
	}
	path, verb, hasVerb := strings.Cut(r.Template, ":")
	if hasVerb && !custom.MatchString(verb) || !strings.HasPrefix(path, "/") || rule.ResponseBody != "" {
		return r, fmt.Errorf("template %q is not understood", r.Template)
	}
	r.verb, r.segments = verb, strings.Split(path[1:], "/")
	for _, s := range r.segments {
		if literal.MatchString(s) {
			continue
		}
		f := m.Input().Fields().ByName(protoreflect.Name(strings.Trim(s, "{}")))
		if !variable.MatchString(s) || f == nil || f.IsList() || f.Message() != nil {
			return r, fmt.Errorf("template %q: %q is neither a literal nor a field in braces", r.Template, s)
		}
	}
	return r, nil
}

// Vars are the names of the fields in the path.
func (r *Route) Vars() []string {
	var out []string
	for _, s := range r.segments {
		if s[0] == '{' {
			out = append(out, s[1:len(s)-1])
		}
	}
	return out
}

// Match reads a path as it came, still escaped. It answers the values of the
// variables; ok is false if the path is another one.
func (r *Route) Match(escaped string) (vars map[string]string, ok bool) {
	if !strings.HasPrefix(escaped, "/") {
		return nil, false
	}
	if r.verb != "" {
		cut, found := strings.CutSuffix(escaped, ":"+r.verb)
		if !found {
			return nil, false
		}
		escaped = cut
	}
	rest, more := escaped[1:], true
	for i, seg := range r.segments {
		if !more {
			return nil, false // too short
		}
		var part string
		part, rest, more = strings.Cut(rest, "/")
		if r.verb == "" && i == len(r.segments)-1 && strings.Contains(part, ":") {
			return nil, false // a verb that is not ours; a colon in a value comes escaped
		}
		if seg[0] != '{' {
			if part != seg {
				return nil, false
			}
			continue
		}
		v, err := url.PathUnescape(part)
		if err != nil || v == "" {
			return nil, false
		}
		if vars == nil { // for few of those that are tried, so not before
			vars = map[string]string{}
		}
		vars[seg[1:len(seg)-1]] = v
	}
	return vars, !more
}

// Overlap names two routes that some request could mean both, if there are.
// Literals win nowhere: the sources must be unambiguous.
func Overlap(routes []Route) error {
	for i := range routes {
		for j := range routes[:i] {
			if routes[i].overlaps(&routes[j]) {
				return fmt.Errorf("%s %s (%s) and %s (%s) may be the same path", routes[i].HTTP,
					routes[i].Template, routes[i].Method.FullName(), routes[j].Template, routes[j].Method.FullName())
			}
		}
	}
	return nil
}

func (r *Route) overlaps(o *Route) bool {
	if r.HTTP != o.HTTP || r.verb != o.verb || len(r.segments) != len(o.segments) {
		return false
	}
	for i, s := range r.segments {
		if t := o.segments[i]; s != t && s[0] != '{' && t[0] != '{' {
			return false
		}
	}
	return true
}
