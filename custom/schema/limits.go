package schema

// What a document may cost. The last two bound the work of one validation:
// a value's every part is looked at by at most MaxWork schemas, and a pattern
// takes time proportional to its size for each letter (RE2).
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
	MaxWork        = 5000     // schemas of a document, references followed
	MaxPattern     = 500      // instructions of a compiled pattern
)
