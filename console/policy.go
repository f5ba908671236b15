package console

import (
	"math"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/fault"
	"muniment.dev/page"
)

// policyKind is how one policy is shown and asked for.
type policyKind struct {
	Key, Heading, Lede string
	kind               munimentv1.PolicyKind
	fields             []policyField
	source             func(*munimentv1.GetPoliciesResponse) munimentv1.PolicySource
	send               func(*visit, policyChange) error
}

// policyField is one number, or one yes or no, of a policy.
type policyField struct {
	Name, Label, Hint string
	Unit              string // "minutes", or "days" of seconds: asked for in them, sent in seconds; else what is counted
	None              string // what 0 means; empty: it means nothing
	Check             bool
	of                func(*munimentv1.GetPoliciesResponse) int64
}

// policyChange is a policy that was typed.
type policyChange struct {
	scope       *munimentv1.Scope
	values      map[string]int64
	acknowledge []string
	command     string
	reason      string
}

const (
	minutes = "minutes"
	days    = "days" // of what the API counts in seconds
)

// per is how many of the API's units are one of what is typed.
func (f policyField) per() float64 {
	switch {
	case f.Unit == minutes:
		return 60
	case f.Unit == days && strings.HasSuffix(f.Name, "_seconds"):
		return 86400
	}
	return 1
}

func yes(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// policyKinds are all policies, in the order of the page.
func policyKinds() []policyKind {
	type got = *munimentv1.GetPoliciesResponse
	return []policyKind{{
		Key: "password", Heading: "Passwords", kind: munimentv1.PolicyKind_POLICY_KIND_PASSWORD,
		Lede:   "Asked when a password is set. Those that are set already stay good, but for their age.",
		source: got.GetPasswordSource, send: sendPassword,
		fields: []policyField{
			{Name: "min_length", Label: "Shortest length", Unit: "characters", Hint: "8 to 128. Length does more than any other rule; NIST SP 800-63B asks for 15 where there is no second factor.", of: func(g got) int64 { return g.GetPasswordPolicy().GetMinLength() }},
			{Name: "history", Label: "Former passwords refused", Unit: "passwords", None: "any may come again", Hint: "0 to 24.", of: func(g got) int64 { return g.GetPasswordPolicy().GetHistory() }},
			{Name: "max_age_days", Label: "Another one is needed after", Unit: "days", None: "never", Hint: "0 for never. NIST advises against changes without a reason.", of: func(g got) int64 { return g.GetPasswordPolicy().GetMaxAgeDays() }},
			{Name: "needs_upper_case", Label: "Needs an upper-case letter", Check: true, of: func(g got) int64 { return yes(g.GetPasswordPolicy().GetNeedsUpperCase()) }},
			{Name: "needs_lower_case", Label: "Needs a lower-case letter", Check: true, of: func(g got) int64 { return yes(g.GetPasswordPolicy().GetNeedsLowerCase()) }},
			{Name: "needs_digit", Label: "Needs a digit", Check: true, of: func(g got) int64 { return yes(g.GetPasswordPolicy().GetNeedsDigit()) }},
			{Name: "needs_symbol", Label: "Needs another character", Check: true, of: func(g got) int64 { return yes(g.GetPasswordPolicy().GetNeedsSymbol()) }},
			{Name: "allows_personal", Label: "May hold the person's own name or address", Check: true, of: func(g got) int64 { return yes(g.GetPasswordPolicy().GetAllowsPersonal()) }},
		},
	}, {
		Key: "lockout", Heading: "Lockout", kind: munimentv1.PolicyKind_POLICY_KIND_LOCKOUT,
		Lede:   "After too many wrong passwords none is accepted for a while. It ends by itself; sessions go on.",
		source: got.GetLockoutSource, send: sendLockout,
		fields: []policyField{
			{Name: "attempts", Label: "Wrong passwords", Unit: "attempts", None: "never locked out", Hint: "1 to 100; 0 for no lockout.", of: func(g got) int64 { return g.GetLockoutPolicy().GetAttempts() }},
			{Name: "window_seconds", Label: "Within", Unit: minutes, Hint: "1 minute to a day.", of: func(g got) int64 { return g.GetLockoutPolicy().GetWindowSeconds() }},
			{Name: "duration_seconds", Label: "Locked out for", Unit: minutes, Hint: "1 minute to a day.", of: func(g got) int64 { return g.GetLockoutPolicy().GetDurationSeconds() }},
		},
	}, {
		Key: "session", Heading: "Sessions", kind: munimentv1.PolicyKind_POLICY_KIND_SESSION,
		Lede:   "How long people stay signed in. What is stricter holds at once, what is laxer from the next sign-in.",
		source: got.GetSessionSource, send: sendSession,
		fields: []policyField{
			{Name: "lifetime_seconds", Label: "End after the password was given", Unit: minutes, Hint: "5 minutes to 90 days (129600).", of: func(g got) int64 { return g.GetSessionPolicy().GetLifetimeSeconds() }},
			{Name: "idle_seconds", Label: "End when not used for", Unit: minutes, None: "does not matter", Hint: "0 if it does not matter, else from 5 minutes.", of: func(g got) int64 { return g.GetSessionPolicy().GetIdleSeconds() }},
			{Name: "password_seconds", Label: "Ask for the password again after", Unit: minutes, None: "not while the session lasts", Hint: "0 for never, else from 5 minutes. The session goes on meanwhile.", of: func(g got) int64 { return g.GetSessionPolicy().GetPasswordSeconds() }},
		},
	}, {
		Key: "token", Heading: "Tokens", kind: munimentv1.PolicyKind_POLICY_KIND_TOKEN,
		Lede:   "How long what applications get is good. It holds for tokens that are issued from then on.",
		source: got.GetTokenSource, send: sendToken,
		fields: []policyField{
			{Name: "access_seconds", Label: "Access tokens", Unit: minutes, Hint: "1 minute to a day. An application that checks them by itself learns of a lock only when they end.", of: func(g got) int64 { return g.GetTokenPolicy().GetAccessSeconds() }},
			{Name: "id_seconds", Label: "ID tokens", Unit: minutes, Hint: "1 minute to a day.", of: func(g got) int64 { return g.GetTokenPolicy().GetIdSeconds() }},
			{Name: "refresh_idle_seconds", Label: "Refresh tokens that are not used", Unit: minutes, Hint: "From 10 minutes; 30 days are 43200.", of: func(g got) int64 { return g.GetTokenPolicy().GetRefreshIdleSeconds() }},
			{Name: "refresh_lifetime_seconds", Label: "Refresh tokens altogether", Unit: minutes, Hint: "To a year; 90 days are 129600.", of: func(g got) int64 { return g.GetTokenPolicy().GetRefreshLifetimeSeconds() }},
		},
	}}
}

func sendPassword(v *visit, c policyChange) error {
	n := c.values
	_, err := v.c.API.Policy.ChangePasswordPolicy(v.ctx, &munimentv1.ChangePasswordPolicyRequest{Scope: c.scope, Acknowledge: c.acknowledge, CommandId: c.command, Reason: c.reason,
		Policy: &munimentv1.PasswordPolicy{MinLength: n["min_length"], History: n["history"], MaxAgeDays: n["max_age_days"], NeedsUpperCase: n["needs_upper_case"] > 0,
			NeedsLowerCase: n["needs_lower_case"] > 0, NeedsDigit: n["needs_digit"] > 0, NeedsSymbol: n["needs_symbol"] > 0, AllowsPersonal: n["allows_personal"] > 0}})
	return err
}

func sendLockout(v *visit, c policyChange) error {
	_, err := v.c.API.Policy.ChangeLockoutPolicy(v.ctx, &munimentv1.ChangeLockoutPolicyRequest{Scope: c.scope, Acknowledge: c.acknowledge, CommandId: c.command, Reason: c.reason,
		Policy: &munimentv1.LockoutPolicy{Attempts: c.values["attempts"], WindowSeconds: c.values["window_seconds"], DurationSeconds: c.values["duration_seconds"]}})
	return err
}

func sendSession(v *visit, c policyChange) error {
	_, err := v.c.API.Policy.ChangeSessionPolicy(v.ctx, &munimentv1.ChangeSessionPolicyRequest{Scope: c.scope, Acknowledge: c.acknowledge, CommandId: c.command, Reason: c.reason,
		Policy: &munimentv1.SessionPolicy{LifetimeSeconds: c.values["lifetime_seconds"], IdleSeconds: c.values["idle_seconds"], PasswordSeconds: c.values["password_seconds"]}})
	return err
}

func sendToken(v *visit, c policyChange) error {
	_, err := v.c.API.Policy.ChangeTokenPolicy(v.ctx, &munimentv1.ChangeTokenPolicyRequest{Scope: c.scope, Acknowledge: c.acknowledge, CommandId: c.command, Reason: c.reason,
		Policy: &munimentv1.TokenPolicy{AccessSeconds: c.values["access_seconds"], IdSeconds: c.values["id_seconds"],
			RefreshIdleSeconds: c.values["refresh_idle_seconds"], RefreshLifetimeSeconds: c.values["refresh_lifetime_seconds"]}})
	return err
}

// amount is a number as it is typed: in minutes or days where it is of seconds.
func (f policyField) amount(n int64) string {
	return strconv.FormatFloat(math.Round(float64(n)/f.per()*1e6)/1e6, 'f', -1, 64)
}

// says is a value in words.
func (f policyField) says(n int64) string {
	switch {
	case f.Check && n > 0:
		return "yes"
	case f.Check:
		return "no"
	case n == 0 && f.None != "":
		return f.None
	case f.Unit == minutes:
		return span(time.Duration(n) * time.Second)
	}
	return strconv.FormatInt(n, 10) + " " + f.Unit
}

// span is a duration in words: the greatest unit that it is a whole number of.
func span(d time.Duration) string {
	for _, u := range []struct {
		of   time.Duration
		word string
	}{{24 * time.Hour, "day"}, {time.Hour, "hour"}, {time.Minute, "minute"}, {time.Second, "second"}} {
		if n := int64(d / u.of); d%u.of == 0 && n > 0 {
			if n == 1 {
				return "1 " + u.word
			}
			return strconv.FormatInt(n, 10) + " " + u.word + "s"
		}
	}
	return d.String()
}

// read is what was typed for a number, in the API's unit.
func (f policyField) read(typed string) (int64, bool) {
	if f.per() == 1 {
		n, err := strconv.ParseInt(typed, 10, 64)
		return n, err == nil
	}
	m, err := strconv.ParseFloat(typed, 64)
	return int64(math.Round(m * f.per())), err == nil && math.Abs(m) < 1e9
}

// policiesPage is the data of policies.html.
type policiesPage struct {
	Org, OrgName string // of an organization; empty: the instance's
	Orgs         []option
	Kinds        []policyShown
	CanWrite     bool
	Curl         same
}

// policyShown is what holds of one kind.
type policyShown struct {
	policyKind
	Lines  []policyLine
	Source badge
	Here   bool // set by the very scope that is shown
}

type policyLine struct{ Label, Value string }

func sourceBadge(s munimentv1.PolicySource) badge {
	switch s {
	case munimentv1.PolicySource_POLICY_SOURCE_INSTANCE:
		return badge{"Set by the instance", page.Calm}
	case munimentv1.PolicySource_POLICY_SOURCE_ORGANIZATION:
		return badge{"Set by the organization", page.Good}
	}
	return badge{"As Muniment comes", page.Calm}
}

func (v *visit) getPolicies(org string) (*munimentv1.GetPoliciesResponse, error) {
	got, err := v.c.API.Policy.GetPolicies(v.ctx, &munimentv1.GetPoliciesRequest{Scope: scopeOf(org), Read: v.read})
	if err != nil {
		return nil, v.c.AsFault(err)
	}
	return got, nil
}

func setHere(org string, s munimentv1.PolicySource) bool {
	if org == "" {
		return s == munimentv1.PolicySource_POLICY_SOURCE_INSTANCE
	}
	return s == munimentv1.PolicySource_POLICY_SOURCE_ORGANIZATION
}

func (v *visit) policies() error {
	p := policiesPage{Org: v.r.URL.Query().Get("org")}
	got, err := v.getPolicies(p.Org)
	if err != nil {
		return err
	}
	if p.Orgs, err = v.orgOptions(); err != nil {
		return err
	}
	if p.Org != "" {
		p.OrgName = v.orgName(p.Org)
	}
	p.CanWrite, p.Curl = v.me.Writes(p.Org), v.same("policy get-policies", "/v1/policies", "scope.organization_id", p.Org, "scope.instance", enumParam(p.Org == "", "true"))
	for _, k := range policyKinds() {
		shown := policyShown{policyKind: k, Source: sourceBadge(k.source(got)), Here: setHere(p.Org, k.source(got))}
		for _, f := range k.fields {
			shown.Lines = append(shown.Lines, policyLine{f.Label, f.says(f.of(got))})
		}
		p.Kinds = append(p.Kinds, shown)
	}
	if err := v.travels(); err != nil {
		return err
	}
	return v.show("policies", "policies", "Policies", p)
}

// policyForm is the data of policyform.html.
type policyForm struct {
	policyKind
	Org, Where, Back string
	BackWord, Nav    string
	Inputs           []policyInput
	Acknowledged     []string // named before
	Asked            string   // what has to be acknowledged now; empty: nothing
	AskedName        string
	Problem, Command string
	Source           badge
}

type policyInput struct {
	policyField
	Value string
	Error string
}

func (v *visit) policyKind() (policyKind, string, error) {
	for _, k := range policyKinds() {
		if k.Key == v.r.PathValue("kind") {
			return k, v.r.URL.Query().Get("org"), nil
		}
	}
	return policyKind{}, "", fault.New(fault.NotFound, "there is no such page")
}

func policiesPath(org string) string {
	if org == "" {
		return "/console/policies"
	}
	return "/console/policies?org=" + org
}

func (v *visit) newPolicyForm() (policyForm, *munimentv1.GetPoliciesResponse, error) {
	k, org, err := v.policyKind()
	if err != nil {
		return policyForm{}, nil, err
	}
	got, err := v.getPolicies(org)
	if err != nil {
		return policyForm{}, nil, err
	}
	f := policyForm{policyKind: k, Org: org, Back: policiesPath(org), BackWord: "Policies", Nav: "policies", Where: "the whole instance", Source: sourceBadge(k.source(got))}
	if org != "" {
		f.Where = v.orgName(org)
	}
	return f, got, nil
}

func (v *visit) editPolicy() error {
	f, got, err := v.newPolicyForm()
	if err != nil {
		return err
	}
	for _, field := range f.fields {
		f.Inputs = append(f.Inputs, policyInput{policyField: field, Value: field.amount(field.of(got))})
	}
	return v.policyForm(http.StatusOK, f)
}

func (v *visit) policyForm(status int, f policyForm) error {
	return v.showAs(status, "policyform", page.View{Nav: f.Nav, Title: f.Heading, Data: f})
}

func (v *visit) changePolicy() error {
	f, _, err := v.newPolicyForm()
	if err != nil {
		return err
	}
	f.Command = v.command()
	c, ok := v.typedPolicy(&f, f.fields)
	if !ok {
		return v.policyForm(http.StatusUnprocessableEntity, f)
	}
	if err := f.send(v, c); err != nil {
		return v.policyFailed(f, c, err)
	}
	return v.done(f.Back, f.Heading+": changed.")
}

// typedPolicy reads what was typed, and keeps it to be shown again; false if it
// is no numbers.
func (v *visit) typedPolicy(f *policyForm, fields []policyField) (c policyChange, good bool) {
	c = policyChange{scope: scopeOf(f.Org), values: map[string]int64{}, acknowledge: v.r.PostForm["acknowledge"], command: f.Command, reason: v.form("reason")}
	good = true
	for _, field := range fields {
		in := policyInput{policyField: field, Value: v.form(field.Name)}
		n, ok := field.read(in.Value)
		if field.Check {
			n, ok = yes(in.Value != ""), true
			in.Value = strconv.FormatInt(n, 10)
		}
		if !ok {
			in.Error, good = "Enter a number.", false
		}
		c.values[field.Name] = n
		f.Inputs = append(f.Inputs, in)
	}
	return c, good
}

// risk finds the name that a refusal wants acknowledged.
var risk = regexp.MustCompile(`; if that is meant, acknowledge "([a-z-]+)"$`)

// policyFailed shows the form again: with what was wrong, or with the question
// whether what follows is meant.
func (v *visit) policyFailed(f policyForm, c policyChange, err error) error {
	err = v.c.AsFault(err)
	status, ok := formStatus(err)
	if !ok {
		return err
	}
	field, msg := strings.TrimPrefix(faultField(err), "policy."), fault.Public(err)
	f.Acknowledged = c.acknowledge
	if m := risk.FindStringSubmatch(msg); field == "acknowledge" && m != nil {
		f.Asked, f.AskedName, f.Command = page.Sentence(strings.TrimSuffix(msg, m[0])), m[1], ""
		return v.policyForm(status, f)
	}
	for i := range f.Inputs {
		if f.Inputs[i].Name == field {
			f.Inputs[i].Error = page.Sentence(msg)
			if f.Inputs[i].per() != 1 {
				f.Inputs[i].Error = "This is outside of what is allowed. " + f.Inputs[i].Hint
			}
			return v.policyForm(status, f)
		}
	}
	f.Problem = page.Sentence(msg)
	return v.policyForm(status, f)
}

func (v *visit) policyReset() (question, policyForm, error) {
	f, _, err := v.newPolicyForm()
	if err != nil {
		return question{}, f, err
	}
	q := question{Heading: f.Heading + ": take back?", Button: "Take back", Back: f.Back, Nav: "policies", Reason: true,
		Points: []string{"What was set for " + f.Where + " holds no more.", "What the instance says holds instead."}}
	if f.Org == "" {
		q.Points[1] = "What Muniment comes with holds instead."
	}
	return q, f, nil
}

func (v *visit) askPolicyReset() error {
	q, _, err := v.policyReset()
	if err != nil {
		return err
	}
	return v.ask(q)
}

func (v *visit) resetPolicy() error {
	q, f, err := v.policyReset()
	if err != nil {
		return err
	}
	if _, err := v.c.API.Policy.ResetPolicy(v.ctx, &munimentv1.ResetPolicyRequest{Scope: scopeOf(f.Org), Kind: f.kind, CommandId: v.command(), Reason: v.form("reason")}); err != nil {
		return v.refused(q.Back, err)
	}
	return v.done(q.Back, f.Heading+": taken back.")
}
