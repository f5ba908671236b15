package console

import (
	"encoding/hex"
	"fmt"
	"html/template"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"google.golang.org/protobuf/types/known/timestamppb"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/custom"
	"muniment.dev/event"
	"muniment.dev/page"
)

// funcs are what the console's templates can call beside those of every page.
func funcs() template.FuncMap {
	return template.FuncMap{
		"command":      func() string { return event.NewID().String() },
		"name":         userName,
		"isErased":     func(u *munimentv1.User) bool { return u.GetState() == munimentv1.UserState_USER_STATE_ERASED },
		"isMachine":    func(u *munimentv1.User) bool { return u.GetKind() == machineKind },
		"state":        userState,
		"orgState":     organizationState,
		"hostedState":  hostedState,
		"hookState":    hookState,
		"adapterState": adapterState, "adapterFailure": adapterFailure,
		"hex":          hex.EncodeToString,
		"projectState": projectState,
		"grantOff":     func(s munimentv1.GrantState) bool { return s == munimentv1.GrantState_GRANT_STATE_DEACTIVATED },
		"sessionState": sessionState,
		"keyStatus":    keyStatus,
		"role":         memberRole,
		"roleKey":      memberRoleKey,
		"eventRight":   eventRight, "eventRightKey": eventRightKey,
		"at":       func(t *timestamppb.Timestamp) time.Time { return instant(t) },
		"mark":     eventMark,
		"stream":   streamPath,
		"actor":    actorPath,
		"device":   device,
		"kind":     kindOf,
		"called":   called,
		"expired":  expired,
		"appState": applicationState,
		"grants":   grantsType,
		"uses":     usedProof,
		"join":     strings.Join,
		"label":    label,
		"failure":  failure,
		"group":    group,
		"says":     says,
		"stranger": stranger,
		"value":    valueText,
		"nest":     nest, "nestText": nestText, "traits": traits, "verdict": verdict, "firstOf": firstOf, "others": others,
		"structured": func(f *munimentv1.FieldValue) bool { return structured(plainValue(f)) },
		"plain":      plainValue,
		"pairState":  pairState, "keptState": keptState, "plainID": plain,
		"entityAt": entityPath, "entityStates": entityStates, "upper": upper,
		"same":       sameValue,
		"difference": differenceWord,
		"exact":      func(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05") },
		"listName":   listName,
		"lists":      func() []option { return comparedLists },
		"local":      func(t time.Time) string { return t.UTC().Format("2006-01-02T15:04") },
	}
}

// differenceWord says how a thing differs.
func differenceWord(k munimentv1.DifferenceKind) badge {
	switch k {
	case munimentv1.DifferenceKind_DIFFERENCE_KIND_ADDED:
		return badge{"Added", page.Good}
	case munimentv1.DifferenceKind_DIFFERENCE_KIND_REMOVED:
		return badge{"Removed", page.Bad}
	case munimentv1.DifferenceKind_DIFFERENCE_KIND_CHANGED:
		return badge{"Changed", page.Warn}
	}
	return badge{"Touched", ""}
}

// instant converts a time of the API; missing becomes the zero time.
func instant(t *timestamppb.Timestamp) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.AsTime()
}

// userName is how to call a person: the name to show, else the two names, else
// the e-mail address; empty if all are erased or missing.
func userName(u *munimentv1.User) string {
	if n := u.GetDisplayName().GetValue(); n != "" {
		return n
	}
	if n := strings.TrimSpace(u.GetGivenName().GetValue() + " " + u.GetFamilyName().GetValue()); n != "" {
		return n
	}
	return u.GetEmail().GetValue()
}

// badge is a state in a word, with its tone.
type badge struct {
	Word string
	Tone page.Tone
}

func userState(s munimentv1.UserState) badge {
	switch s {
	case munimentv1.UserState_USER_STATE_ACTIVE:
		return badge{"Active", page.Good}
	case munimentv1.UserState_USER_STATE_LOCKED:
		return badge{"Locked", page.Warn}
	case munimentv1.UserState_USER_STATE_DEACTIVATED:
		return badge{"Deactivated", page.Calm}
	case munimentv1.UserState_USER_STATE_ERASED:
		return badge{"Erased", page.Bad}
	}
	return badge{"Unknown", page.Calm}
}

// hostedState is where a hosted instance stands. Trouble outweighs what should
// be.
func hostedState(in *munimentv1.HostedInstance) badge {
	switch in.GetState() {
	case munimentv1.HostedInstanceState_HOSTED_INSTANCE_STATE_MAKING:
		return badge{"Being made", page.Warn}
	case munimentv1.HostedInstanceState_HOSTED_INSTANCE_STATE_ACTIVE:
		if in.GetTrouble() != "" {
			return badge{"In trouble", page.Bad}
		}
		return badge{"Active", page.Good}
	case munimentv1.HostedInstanceState_HOSTED_INSTANCE_STATE_SUSPENDED:
		return badge{"Suspended", page.Warn}
	case munimentv1.HostedInstanceState_HOSTED_INSTANCE_STATE_DELETED:
		return badge{"Being destroyed", page.Bad}
	case munimentv1.HostedInstanceState_HOSTED_INSTANCE_STATE_DESTROYED:
		return badge{"Deleted", page.Calm}
	}
	return badge{"Unknown", page.Calm}
}

func organizationState(s munimentv1.OrganizationState) badge {
	switch s {
	case munimentv1.OrganizationState_ORGANIZATION_STATE_ACTIVE:
		return badge{"Active", page.Good}
	case munimentv1.OrganizationState_ORGANIZATION_STATE_DEACTIVATED:
		return badge{"Deactivated", page.Warn}
	case munimentv1.OrganizationState_ORGANIZATION_STATE_REMOVED:
		return badge{"Removed", page.Bad}
	}
	return badge{"Unknown", page.Calm}
}

// grantsType reports whether an application gets tokens in a way.
func grantsType(a *munimentv1.Application, name string) bool {
	return slices.ContainsFunc(a.GetGrantTypes(), func(g munimentv1.GrantType) bool { return g.String() == name })
}

// usedProof is which of its secrets and keys a client proves itself by.
func usedProof(authMethod string) string {
	if authMethod == munimentv1.ClientAuthMethod_CLIENT_AUTH_METHOD_PRIVATE_KEY_JWT.String() {
		return "KEY"
	}
	return "SECRET"
}

func applicationState(s munimentv1.ApplicationState) badge {
	switch s {
	case munimentv1.ApplicationState_APPLICATION_STATE_ACTIVE:
		return badge{"Active", page.Good}
	case munimentv1.ApplicationState_APPLICATION_STATE_DEACTIVATED:
		return badge{"Deactivated", page.Warn}
	case munimentv1.ApplicationState_APPLICATION_STATE_REMOVED:
		return badge{"Removed", page.Calm}
	}
	return badge{"Unknown", page.Calm}
}

func projectState(s munimentv1.ProjectState) badge {
	switch s {
	case munimentv1.ProjectState_PROJECT_STATE_DEACTIVATED:
		return badge{"Deactivated", page.Warn}
	case munimentv1.ProjectState_PROJECT_STATE_REMOVED:
		return badge{"Removed", page.Calm}
	}
	return badge{"Active", page.Good}
}

func sessionState(s munimentv1.SessionState) badge {
	switch s {
	case munimentv1.SessionState_SESSION_STATE_ACTIVE:
		return badge{"Active", page.Good}
	case munimentv1.SessionState_SESSION_STATE_ENDED:
		return badge{"Ended", page.Calm}
	case munimentv1.SessionState_SESSION_STATE_EXPIRED:
		return badge{"Expired", page.Calm}
	}
	return badge{"Unknown", page.Calm}
}

// memberRoles are the roles of members, the strongest first, with what they
// mean to a person who chooses one.
var memberRoles = [...]struct {
	Role        munimentv1.MemberRole
	Key, Word   string
	Description string
}{
	{owner, "owner", "Owner", "everything, members and erasure included"},
	{admin, "admin", "Administrator", "everything but owners and erasure"},
	{auditor, "auditor", "Auditor", "read what is there, and the events"},
	{viewer, "viewer", "Viewer", "read what is there; not the events"},
}

// memberRoleKey is how forms write a role.
func memberRoleKey(r munimentv1.MemberRole) string {
	for _, m := range memberRoles {
		if m.Role == r {
			return m.Key
		}
	}
	return ""
}

func memberRole(r munimentv1.MemberRole) string {
	for _, m := range memberRoles {
		if m.Role == r {
			return m.Word
		}
	}
	return "Unknown"
}

// mark is the small picture beside an event.
type mark struct {
	Icon string
	Tone page.Tone
}

// eventMark chooses it by the type's words; types that nobody thought of get
// the plain one.
func eventMark(eventType string) mark {
	words := strings.Split(eventType, ".")
	last := words[len(words)-1]
	switch last {
	case "failed", "refused", "denied", "rejected", "replayed":
		return mark{"bad", page.Bad}
	case "erased", "forgotten":
		return mark{"flame", page.Bad}
	case "deleted", "destroyed":
		return mark{"flame", page.Bad}
	case "locked", "deactivated", "suspended":
		return mark{"lock", page.Warn}
	case "unlocked", "reactivated", "resumed":
		return mark{"unlock", page.Good}
	case "withdrawn", "removed", "revoked":
		return mark{"close", page.Warn}
	case "granted":
		return mark{"role", page.Good}
	}
	for _, w := range words {
		switch w {
		case "password", "secret", "token", "code", "signing-key":
			return mark{"key", page.Calm}
		case "session", "signin":
			return mark{"device", page.Calm}
		case "setup-link":
			return mark{"link", page.Calm}
		case "erasure":
			return mark{"flame", page.Good}
		}
	}
	for prefix, icon := range map[string]string{
		"user": "person", "organization": "org", "project": "project", "application": "app", "authorization": "app",
		"role": "role", "grant": "role", "member": "people", "instance": "seal", "log": "seal", "audit": "search", "oidc": "link",
	} {
		if words[0] == prefix {
			return mark{icon, page.Calm}
		}
	}
	return mark{"events", page.Calm}
}

// streamPath is the page of what a stream is about; empty if there is none.
func streamPath(stream string) string {
	kind, id, ok := strings.Cut(stream, ":")
	if _, err := event.ParseID(id); !ok || err != nil {
		return ""
	}
	switch kind {
	case "user":
		return path("console", "people", id)
	case "organization":
		return path("console", "organizations", id)
	case "project":
		return path("console", "projects", id)
	case "application":
		return path("console", "applications", id)
	case "subscription":
		return path("console", "subscriptions", id)
	case "adapter":
		return path("console", "adapters", id)
	}
	if event.IsName(kind) && !slices.Contains(custom.Reserved(), kind) {
		return path("console", "entities", kind, strings.ReplaceAll(id, "-", ""))
	}
	return ""
}

// actorPath is the page of who acted; empty if there is none.
func actorPath(a *munimentv1.Actor) string { return streamPath(a.GetKind() + ":" + a.GetId()) }

// device names the program and the system of a user agent, as far as they are
// among the usual ones.
func device(agent string) string {
	if agent == "" {
		return ""
	}
	find := func(pairs ...string) string {
		for i := 0; i < len(pairs); i += 2 {
			if strings.Contains(agent, pairs[i]) {
				return pairs[i+1]
			}
		}
		return ""
	}
	// The order matters: each pretends to be those after it.
	program := find("Edg/", "Edge", "OPR/", "Opera", "Firefox/", "Firefox", "HeadlessChrome/", "Chrome (headless)", "Chrome/", "Chrome", "Safari/", "Safari", "curl/", "curl", "Go-http-client", "a Go program", "muniment", "Muniment")
	system := find("iPhone", "iPhone", "iPad", "iPad", "Android", "Android", "Windows", "Windows", "Mac OS X", "macOS", "CrOS", "ChromeOS", "Linux", "Linux")
	switch {
	case program == "" && system == "":
		return agent[:min(len(agent), 40)]
	case program == "":
		return system
	case system == "":
		return program
	}
	return program + " on " + system
}

// stranger is the name of who acted, if the event's sentence does not say it.
func stranger(e *munimentv1.Event) string {
	name := e.GetActor().GetName().GetValue()
	if strings.Contains(e.GetSentence(), name) {
		return ""
	}
	return name
}

// label is a path in a record's context as a person would call it.
func label(path string) string {
	s := strings.TrimPrefix(path, "/")
	switch s {
	case "ip":
		return "IP address"
	case "command", "command_id":
		return "Command"
	}
	s = strings.ReplaceAll(s, "_", " ")
	if s == "" {
		return path
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// failure is why an event could not be delivered, after "the last attempt".
func failure(l *munimentv1.DeadLetter) string {
	switch l.GetFailure() {
	case "answered":
		return fmt.Sprintf("answered with %d", l.GetStatus())
	case "unreachable":
		return "without reaching the receiver"
	case "timed-out":
		return "without an answer in time"
	case "forbidden":
		return "not made, because the address leads into a network that is not called"
	case "unreadable":
		return "not made, because the event could not be made ready"
	}
	return l.GetFailure()
}

// says is an event's sentence with a capital letter first; the type if there is
// no sentence.
func says(e *munimentv1.Event) string {
	return or(upper(e.GetSentence()), e.GetType())
}

// upper is a text with a capital letter first.
func upper(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	if n == 0 {
		return ""
	}
	return string(unicode.ToUpper(r)) + s[n:]
}
