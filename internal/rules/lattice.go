package rules

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// lattice is the direction of imports. "a, b < c" reads: c may import a and b,
// and whatever those may import. Nothing else may be imported; a package that
// the table does not name may not exist. Names in capitals are no packages but
// short for what stands to their left. Every line says why.
//
// Tests may import what they need: Go itself refuses a circle.
const lattice = `
trace < CONTRACTS                              # spans: where the time of a request goes; by the standard library only
fault < event                                  # the words: kinds of error, then records, ids, descriptors
event < eventlog, seal, authz                  # three contracts that do not know each other: order, secrecy, authority
fault < pgdb < seal                            # PostgreSQL databases that hold something apart from the log: keys, a register
pgdb < cell                                    # small values elsewhere than the log: the register, the list of erasures
ledger/verify                                  # a stranger audits us with it, so it imports nothing of ours
eventlog, seal, authz < CONTRACTS              # short

CONTRACTS < eventlog/memlog, eventlog/pebblelog, eventlog/pglog < ENGINES     # the stores know the contract, nobody above knows a store
seal < seal/kms/file < ENGINES                 # where the key over all keys lies; chosen like a store, by the wiring
CONTRACTS, cell < seal/erasure < react               # what an erasure in the log has destroyed; by the words of the log and the keys only
CONTRACTS < eventlog/faultlog, eventlog/logtest < LOGTESTS    # for tests of whatever keeps the contract
eventlog/memlog < eventlog/logtest                                 # a store beside the one under test, to copy to and from
CONTRACTS, ledger/verify, cell < ledger                             # what we sign is checked by the code that strangers run
CONTRACTS < decide, view                                      # to change state; to read it
event < event/eventtest                        # examples of event types, kept for ever
CONTRACTS < node < server                      # what the nodes of one log say to each other
decide < decide/decidetest                                    # given, when, then
view < view/entity                             # what the tables of things have in common
view, eventlog/memlog < view/viewtest          # a log and a decoder for tests of views
decide, view, view/entity < react                             # side effects follow facts and may command new ones
fault < hook/webhook < hook/hookapi                           # a signed POST to somebody's address, and what must not be one
audit/auditapi, SLICES, EDGE < hook/hookapi < ADAPTERS        # whoever subscribes reads events as the API shows them, by its filter

event < custom/cloudevents < custom/customapi  # the words of CloudEvents, and nothing of ours but JSON values
event < custom/apply < custom/schema < custom # what an application's event does to its entity; then what its types are

react < member < instance < org < policy < idp < credential < user < project < app < grant < session < custom < field < field/external < hook < notify < hosting < setup # the slices, each knows only those to its left
setup < SLICES                                 # short

api/gen/muniment/v1 < api/gen/muniment/v1/munimentv1connect < EDGE # messages, then the services of them; made from api/proto
decide < api/call < EDGE                       # who is calling and from where, as the router tells the adapters
seal/erasure < api/adapter                     # how far an erasure has come, of a person or an entity
api/call, api/gen/muniment/v1, view < api/adapter < EDGE # what the slices' faces share: ids, pages, freshness, who may see

react, ledger < audit                          # reads records through descriptors: it may not know a slice
CONTRACTS < audit/stats < SERVER                # sums of what is in a log
audit, audit/stats, EDGE < audit/auditapi                   # the API of the events and of their proofs
credential, EDGE < credential/credentialapi < app/appapi, user/userapi # secrets made, credentials answered, for both
SLICES, EDGE < member/memberapi, org/orgapi, policy/policyapi, idp/idpapi, user/userapi, project/projectapi, app/appapi, grant/grantapi, session/sessionapi, setup/setupapi < ADAPTERS # a slice's face in the API: translates, decides nothing
SLICES, EDGE < history < ADAPTERS              # how things were, and what became of them: over all slices' tables
SLICES, EDGE, ledger < instance/instanceapi < ADAPTERS # the head of the log, with its checkpoints and proofs
SLICES, EDGE, ledger < hosting/hostingapi < ADAPTERS # what is deleted is named by how its log ended
custom/publish, custom/customapi < field/fieldapi < field/datacollect < ADAPTERS # what devices did, recorded as customers' events are; by our protocol and by ID PASS DataCollect's
hook/webhook < field/external/exchange < field/external/externalapi # what is said to external systems and read of their answers, by the rules for addresses that somebody names
custom/customapi, field/fieldapi < field/external/externalapi < ADAPTERS # an external system's events are recorded as a device's are
session/signin < field/datacollect             # its clients sign in by password
SLICES, EDGE < session/meapi < ADAPTERS        # what callers may know of themselves
fault < user/password                          # argon2id in a bounded pool
SLICES, EDGE < custom/publish < custom/customapi < ADAPTERS # customers' events are made ready and recorded: looks up ahead and makes conditions of it
SLICES, EDGE, ledger, audit < custom/customapi # shows their trail as the events are shown
SLICES, EDGE, user/password < session/signin < ADAPTERS # where people prove who they are: asks the deciders, keeps nothing
SLICES, EDGE < oidc, saml, scim, ldap < PROTOCOLS # what the world speaks to us
fault < page                                   # layout, assets and safety headers of every web page

fault < api/field                              # fields of messages, set from text: by a query, by a command line
api/field, api/route < api, api/openapi                   # which REST path means which method: for the router, and for the OpenAPI document
api/gen < api, cli                             # the sources with their comments and the OpenAPI document, as data
ADAPTERS, PROTOCOLS, audit/auditapi < api      # router, authentication, errors
ADAPTERS, PROTOCOLS, audit, page < login, console # web pages
ADAPTERS, PROTOCOLS, audit, ENGINES < ops      # backup, restore, verify, doctor, metrics: the first that may open a store
ops < ops/doctor < server                      # what bites later, and what to do about it
CONTRACTS < ops/metrics                        # what a process counts, for Prometheus
trace, fault < ops/otlp                        # where spans go
api, login, console, ops, ops/metrics, ops/otlp < server < SERVER     # assembles an instance
server < fleet < SERVER                         # several of them in one process, by host name
SERVER, LOGTESTS < sim                         # the whole server, in a bubble
sample                                         # an application of somebody else: it knows us by our protocols only
examples/client < examples/orders, examples/household    # programs of strangers, too, that keep their own events in Muniment
examples/client, ledger/verify < examples/bank, examples/health # they check receipts, as any stranger may
SERVER, sample < demo < cmd/muniment           # a month of history, and the application beside it
SERVER < bench < cmd/muniment                  # how fast it is
SERVER, sample < cli < cmd/muniment            # commands; wiring
SERVER, internal/postgres < internal/instancetest                 # a whole instance for tests

internal/rules, internal/browser, internal/postgres, internal/etcd < internal/check # the house; nothing of the product
internal/sysfault                              # system calls that fail; for tests of any program
`

// A table is the lattice, read: for each name what it may import, directly or
// through another.
type table map[string]map[string]bool

// readLattice parses a table. A line without a reason is an error.
func readLattice(text string) (table, error) {
	t := table{}
	for i, line := range strings.Split(text, "\n") {
		if strings.TrimSpace(line) == "" {
			continue
		}
		chain, reason, _ := strings.Cut(line, "#")
		if strings.TrimSpace(reason) == "" {
			return nil, fmt.Errorf("lattice, line %d: no reason", i+1)
		}
		var left []string
		for _, set := range strings.Split(chain, "<") {
			right := strings.Split(set, ",")
			for j := range right {
				right[j] = strings.TrimSpace(right[j])
				if right[j] == "" {
					return nil, fmt.Errorf("lattice, line %d: a name is missing", i+1)
				}
			}
			t.place(left, right)
			left = right
		}
	}
	return t, t.close()
}

// place lets each name on the right import those on the left.
func (t table) place(left, right []string) {
	for _, name := range right {
		if t[name] == nil {
			t[name] = map[string]bool{}
		}
		for _, l := range left {
			t[name][l] = true
		}
	}
}

// close adds what may be imported through others. A circle is an error.
func (t table) close() error {
	for range t {
		grown := false
		for _, below := range t {
			for l := range maps.Clone(below) {
				for ll := range t[l] {
					grown = grown || !below[ll]
					below[ll] = true
				}
			}
		}
		if !grown {
			break
		}
	}
	for name, below := range t {
		if below[name] {
			return fmt.Errorf("lattice: %s stands below itself", name)
		}
	}
	return nil
}

// between lists the packages above low and not above high, high included.
func (t table) between(low, high string) []string {
	var names []string
	for name := range t {
		if t[name][low] && (name == high || t[high][name]) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// slicesOf are the slices' own packages: all that stands between react and
// setup.
func (t table) slicesOf() []string { return t.between("react", "setup") }
