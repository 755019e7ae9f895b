"""The words that are said most in English and Chinese, by any frequency list."""

_WORDS = """
a about after again all also am an and any are as at back be because been before but by call came
can come could day did do does done down each even find first for from get give go going good got
great had has have he hear hello help her here hey hi him his home house how i if in into is it
its just know last left let life like little long look made make man many may me more morning most
much must my name need never new next night no not now of off oh ok okay old on one only open or
other our out over own part people place play please put right said same say see she should show
sir so some something soon sorry start still stop such sure take talk tell than thank thanks that
the their them then there these they thing things think this three time to today too turn two
under up us very wait want was water way we week well went were what when where which while who
why will wish with woman word work world would write year years yes yet you young your
你 我 他 她 它 们 你们 我们 他们 的 了 是 在 有 和 不 好 你好 您好 请 谢谢 再见 什么 怎么
这 那 这个 那个 这里 那里 一 一个 人 大家 说 看 听 来 去 要 想 知道 可以 没有 现在 今天
明天 时候 吃 喝 打开 开始
"""
COMMON_WORDS = frozenset(_WORDS.split())
