/* What the library was built from: the checksum of its sources, which `segmend.native` and `hatch_build.py` look for. */

#include "native.h"

#ifndef SOURCES
#error "SOURCES needs the checksum of the sources; hatch_build.py gives it."
#endif
#define QUOTED(text) #text
#define TEXT(text) QUOTED(text)

EXPORT const char segmend_sources[] = "segmend loops of " TEXT(SOURCES);
