# One pass of what people look at again and again: warm.sh DIRECTORY
cd "$1" || exit 1
find . > /dev/null
ls -lR . > /dev/null
stat ./* > /dev/null
cat ./*.txt > /dev/null
readlink link > /dev/null
stat missing > /dev/null 2>&1
exit 0
