package schema

// What documents may cost. MaxSet bounds how long it takes to make them ready.
// MaxPlace bounds what a value costs: each of its parts is looked at by few
// schemas, and each letter by few steps of patterns (work.go).
const (
	MaxDocuments   = 500      // in a set
	MaxDocument    = 32 << 10 // bytes
	MaxProperties  = 100      // of one object
	MaxNesting     = 8        // of schemas within schemas, as written
	MaxEnum        = 200      // values of an enum
	MaxAlternative = 20       // schemas of allOf, anyOf, oneOf, prefixItems; patterns of patternProperties
	MaxTitle       = 100      // characters
	MaxDescription = 2000     // characters
	MaxSentence    = 200      // characters
	MaxName        = 64       // letters of a name
	MaxExamples    = 20       // of one revision
	MaxRefs        = 100      // values of a list of public references: each becomes a tag
	MaxTagged      = 64       // characters of a value that becomes a tag
	MaxRetention   = 36500    // days
	MaxRules       = 8        // combinations of x-duplicates
	MaxCombined    = 6        // fields of one of them
	MaxWork        = 5000     // schemas of a document, references followed
	MaxSet         = 20_000   // of all documents of a set
	MaxPattern     = 500      // instructions of a compiled pattern
	MaxPlace       = 150      // work at one place of a value: schemas, and what they weigh
)
