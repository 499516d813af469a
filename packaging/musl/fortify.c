/* Debian builds libseccomp.a for glibc with _FORTIFY_SOURCE. The one function that leaves it needing, and that musl
 * does not have, is the checked fprintf; here it checks nothing. */
#include <stdarg.h>
#include <stdio.h>

int __fprintf_chk(FILE *stream, int flag, const char *format, ...)
{
	va_list arguments;
	int written;

	(void)flag;
	va_start(arguments, format);
	written = vfprintf(stream, format, arguments);
	va_end(arguments);
	return written;
}
