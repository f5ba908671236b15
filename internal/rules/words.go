package rules

import (
	"regexp"
	"strings"
)

// A ban is a pattern that no file may contain, in its text or its name.
type ban struct {
	pattern *regexp.Regexp
	why     string
}

// bans are put together from halves so that this file does not contain them.
var bans = []ban{
	{words(`/(wo`, `rk|fa`, `rm)/`, `|/tmp/mun`, `iment|\.lib`, `rary\b`), "a path of one machine"},
	{words(`(^|[\s"'=(:])/(ho`, `me|ro`, `ot)/[a-z]`), "a path of one machine"},
	{words(`shared/(des`, `ign|sty`, `le|le`, `af|requi`, `rements|refe`, `rence)`), "a path outside the project"},
	{words(`registry\.npm`, `js|proxy\.go`, `lang\.org|files\.python`, `hosted|\.h-se`, `ed-[0-9a-f]`), "the name of a package registry or of a build host"},
	{words(`(?i)\bcla`, `ude\b|anthro`, `pic|open`, `ai\b|chat`, `gpt|copi`, `lot\b|sub`, `agent|fa`, `rm-(stu`, `dio|ben`, `ch)|before`, `-stop`), "a tool that the project was written with"},
	{words(`(?i)large language mod`, `el|\bLL`, `Ms?\b|\bAI[ -](age`, `nt|assis`, `tant|gener`, `ated)`), "a tool that the project was written with"},
	{words(`-----BEGIN [A-Z ]*PRIVATE`, ` KEY-----`), "a private key: make one when the test runs"},
	{words(`\bAKIA[0-9A-Z]`, `{16}\b|\bgh[pousr]_[A-Za-z0-9]`, `{36}|\bxox[abprs]-[0-9A-Za-z]`, `{10}|\bnpm_[A-Za-z0-9]`, `{36}`), "a credential"},
}

func words(halves ...string) *regexp.Regexp {
	return regexp.MustCompile(strings.Join(halves, ""))
}

// checkWords looks at every file, binary ones too; of what is compressed only at
// the name.
func checkWords(t *Tree) []Problem {
	var problems []Problem
	for _, f := range t.Files {
		for _, b := range bans {
			if b.pattern.MatchString(f.Path) {
				problems = append(problems, Problem{f.Path, 0, "the file's name holds " + b.why})
			}
			if strings.HasSuffix(f.Path, ".png") || strings.HasSuffix(f.Path, ".gz") {
				continue // compressed bytes match anything in time
			}
			for _, at := range b.pattern.FindAllIndex(f.Body, -1) {
				line := 1 + strings.Count(string(f.Body[:at[0]]), "\n")
				problems = append(problems, Problem{f.Path, line, "holds " + b.why})
			}
		}
	}
	return problems
}
