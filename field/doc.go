// Package field is the slice of work without network: devices record events
// while they are offline, push them later, and pull what others did.
//
// An event of a device says what the device knew when it was made: a position
// up to which it had pulled, and its own events before. From that follows which
// events of the same entity it did not know, and so whether there is a conflict.
// What becomes of one is declared with the type of event (x-conflict) and
// decided once, when the event arrives; the decision stands in the log with it,
// so that folding the log again gives what was served.
//
// What is promised: an event that was acknowledged is in the log, whatever lost
// to whatever; what is recorded once is not recorded again; of events whose
// policy is to merge, the same entity comes out in whichever order the devices
// synchronize. What is not: that a device's clock is right. It decides only
// between two changes of one field whose makers did not know of each other.
// Design: docs/adr/0025-field.md.
package field
