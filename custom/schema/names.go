package schema

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

var (
	// order-created, order.created, OrderCreated, UserUpdated_v2
	eventName  = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9]*([._-][A-Za-z0-9]+)*$`)
	entityName = regexp.MustCompile(`^[a-z][a-z0-9]*([_-][a-z0-9]+)*$`)
	fieldName  = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]*$`)
	version    = regexp.MustCompile(`^v?[0-9]*$`)
)

// vague are the words that say nothing of what happened, not even together;
// alone are those that say something only beside another.
var (
	vague = strings.Fields(`
		action change changed changes crud data edit edited event events generic info misc mod modification modified
		modify mutate mutated mutation new other patch patched payload something state sync synced thing touch touched
		unknown update updated updates upsert upserted value`)
	alone = strings.Fields(`
		add added create created delete deleted do done entity insert inserted item message object process processed put
		record remove removed save saved set store stored test write written`)
)

// checkEventName says what is wrong with an event type's name, or nothing.
func checkEventName(name, entity string, reserved []string) string {
	if len(name) > MaxName || !eventName.MatchString(name) {
		return fmt.Sprintf("%q is no name for an event type: at most %d letters and digits in words joined by - or . or _ or capitals, such as order-paid, order.paid or OrderPaid_v2", name, MaxName)
	}
	if kind, _, dotted := strings.Cut(name, "."); dotted && slices.Contains(reserved, strings.ToLower(kind)) {
		return fmt.Sprintf("%q begins like built-in event types do: take another word than %q before the dot, or write %q", name, kind, strings.ReplaceAll(name, ".", "-"))
	}
	words := nameWords(name)
	telling := slices.ContainsFunc(words, func(w string) bool { return !slices.Contains(vague, w) })
	if !telling || len(words) == 1 && slices.Contains(alone, words[0]) || strings.Join(words, "-") == entity {
		return fmt.Sprintf("%q does not say what happened: name what the people concerned would say, such as %s", name, suggest(words, entity))
	}
	return ""
}

// suggest names an event as its schema's author might have meant it.
func suggest(words []string, entity string) string {
	if entity == "" {
		entity = "order"
	}
	verb := "registered"
	for _, w := range words {
		switch w {
		case "update", "updated", "updates", "change", "changed", "changes", "modify", "modified", "edit", "edited", "patch", "patched":
			return fmt.Sprintf("%s-moved or %s-name-corrected", entity, entity)
		case "delete", "deleted", "remove", "removed":
			verb = "closed"
		}
	}
	return entity + "-" + verb
}

// nameWords takes a name apart: UserUpdated_v2 is user, updated. Versions do
// not count.
func nameWords(name string) []string {
	var words []string
	word := ""
	end := func() {
		if !version.MatchString(word) {
			words = append(words, word)
		}
		word = ""
	}
	runes := []rune(name)
	for i, r := range runes {
		switch {
		case strings.ContainsRune("._-", r):
			end()
			continue
		case unicode.IsUpper(r) && i > 0 && (unicode.IsLower(runes[i-1]) || i+1 < len(runes) && unicode.IsLower(runes[i+1])):
			end()
		}
		word += string(unicode.ToLower(r))
	}
	end()
	return words
}

// checkEntityName says what is wrong with an entity type's name, or nothing.
func checkEntityName(name string, reserved []string) string {
	switch {
	case len(name) > MaxName || !entityName.MatchString(name):
		return fmt.Sprintf("%q is no name for an entity type: at most %d lower-case letters and digits in words joined by - or _, such as household", name, MaxName)
	case slices.Contains(reserved, name):
		return fmt.Sprintf("%q is a kind of Muniment's own: take another name, such as customer-%s", name, name)
	}
	return ""
}

// reservedFields are what every event has, and what sentences call the actor.
var reservedFields = []string{"entity", "organization", "actor"}

// checkFieldName says what is wrong with a property's name, or nothing.
func checkFieldName(name string) string {
	switch {
	case len(name) > MaxName || !fieldName.MatchString(name):
		return fmt.Sprintf("%q is no name for a field: at most %d letters, digits, - and _, beginning with a letter", name, MaxName)
	case slices.Contains(reservedFields, name):
		return fmt.Sprintf("%q is a field that Muniment sets itself: take another name", name)
	}
	return ""
}

// plainWords makes a title of a name: "Order paid".
func plainWords(name string) string {
	text := strings.Join(nameWords(name), " ")
	if text == "" {
		return name
	}
	return strings.ToUpper(text[:1]) + text[1:]
}
