/* version.h: the version of this source tree, as in rt.control. */
#ifndef RT_VERSION_H
#define RT_VERSION_H

#define RT_VERSION "1.2"

#endif
