// Package archtest keeps the package layout true: its test reads the imports of every package of the module and fails
// when one of them breaks the table in layout.go, saying which rule and why. A package that the table does not name
// fails too, so that a new one gets its rule on the day it is born. The modules below the project's own count as part of
// it.
//
// Test files are free to import what they need; the rules are about what ends up in a program. All files count,
// whatever their build constraints.
package archtest
