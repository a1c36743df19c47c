"""What class and id names, roles and phrases say about a part of a page. Words of the trade, never of one site.

A name such as `post-navigation` is cut into its parts (post, navigation); some parts say enough by themselves, some
names only as a whole.
"""

from __future__ import annotations

import re
from functools import lru_cache

from filters.content_tree import words

DROP, COMMENTS, BODY, LIKELY_BODY, POST, FURNITURE = 1, 2, 4, 8, 16, 32
MAX_NAMES = 400  # characters of class and id that are looked at; more are generated utility classes

_PART = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")

_DROP_PARTS = words(
    # ways around the site
    "nav navbar navbars navi navigation navigations subnav topnav sitenav sidenav menu menus submenu menubar navmenu "
    "sidebar sidebars sidepanel breadcrumb breadcrumbs crumb crumbs pagination pager paginator paginate pagenav "
    "prevnext "
    "toc tableofcontents tocbot catalog catalogue sitemap skiplink skiplinks masthead topbar toolbar toolbars colophon "
    "footer footers pagefooter sitefooter subfooter dropdown offcanvas hamburger "
    # other pages
    "related relatedposts recommend recommended recommends recommendation recommendations suggested suggestions "
    "readmore morelinks trending mostread popular outbrain taboola zergnet teaser teasers blogroll archives "
    "tagcloud taglist tags sharedaddy "
    # calls to do something
    "share shares sharing sharebar sharebox sharethis addthis addtoany shareaholic jiathis bdshare bshare social "
    "socials "
    "socialmedia sns subscribe subscription subscriptions newsletter newsletters optin signup signin login register "
    "donate donation reward rewards appreciate sponsor sponsors sponsored sponsorship advert adverts advertisement "
    "advertisements advertising adsense adsbygoogle adbox adslot adunit adwrap ad ads dfp promo promos promotion "
    "cookie cookies cookiebar consent gdpr popup popups popover modal modals lightbox overlay tooltip tooltips "
    "searchform searchbox searchbar typeahead feedback survey poll rating ratings qrcode "
    # words about the text
    "copyright copyleft license licence disclaimer byline authorbox authorinfo "
    "trackback trackbacks pingback pingbacks editsection headerlink catlinks navbox printfooter mwjumplink "
    "gutter linenos lineno linenumber linenumbers noprint screenreader"
)
_DROP_NAMES = words(
    "sr-only visually-hidden visuallyhidden screen-reader-text skip-link skip-to-content hash-link anchor-link "
    "header-link post-meta entry-meta article-meta postmetadata post-info post-footer entry-footer article-footer "
    "post-tags post-tag article-tags post-category post-categories entry-tags entry-categories post-date entry-date "
    "post-author entry-author article-author author-bio author-box author-info about-author post-nav page-nav "
    "prev-next "
    "post-prevnext back-to-top backtotop to-top page-meta page-info page-tools page-actions article-tools post-tools "
    "post-actions post-copyright article-copyright post-toc page-toc local-toc on-this-page edit-page edit-this-page "
    "edit-link report-issue read-next read-more more-link next-post prev-post more-posts more-stories most-popular "
    "most-viewed hot-posts site-header site-info site-title site-description page-header-nav global-header "
    "mw-jump-link sitesub contentsub jump-to-nav mw-indicators mw-hidden-catlinks mw-references-columns-nav "
    "md-source-file md-source-date md-content__button md-tags metadata-bar reading-time read-time word-count "
    "print-button print-links ptx-content-footer search-results-summary "
    "lang-select language-switcher languageselector version-switcher headerlink rst-versions wy-breadcrumbs "
    "ltx_page_logo ltx_page_footer ltx_page_navbar ltx_rdf ltx_role_footnotemark linkbacks edit-this "
    "kill-noscript article-info post-header-meta post-stats entry-utility tag-links cat-links post-views "
    "cnblogs_code_toolbar blog_comment_body-toolbar pstatus jammer author-name author-date"
)
# of a forum's post: who wrote it, when, how often, and what he always writes below
_FURNITURE_PARTS = words(
    "signature signatures sig postprofile userinfo userdetails poster avatar avatars authi pls plc_author postauthor "
    "postbituser reputation karma badge badges postlinking postcontrols postbuttons postfoot posthead"
)
_FURNITURE_NAMES = words(
    "post-signature user-info user-details message-user message-attribution message-footer post-menu-btn "
    "message-signature post-header post-head post-controls post-buttons post-menu topic-map js-voting-container "
    "votecell "
    "post-layout--left js-post-menu user-gravatar32 comment-user comment-date comment-actions comment-score "
    "author pi plm po sign t_ip y postdate date-time contentitem-actions contentitem-time "
    "likes-list small-action topic-avatar"
)
_COMMENT_PARTS = words(
    "comment comments commentlist commentarea commentform commentbox commenter respond disqus valine gitalk gitment "
    "utterances giscus livere waline twikoo isso cusdis hypercomments replies guestbook"
)
_BODY_NAMES = words(
    "post-content entry-content article-content article-body article__body post-body post__body post__content "
    "articlebody article_body article-text article_content articletext articlecontent story-body storybody "
    "story-content "
    "story_body story-text storycontent entry-body postcontent post_content post-entry post-text blog-content "
    "blog-post-content blogpost-content blog-post-body single-content td-post-content news-content newscontent "
    "news-body newstext news_text markdown-body markdown-section markdown-preview-view md-content md-typeset "
    "mw-parser-output mw-content-text bodycontent rich_media_content rich-text article-entry e-content h-entry "
    "content__article-body body-content body-copy bodytext body-text page-body field-name-body theme-doc-markdown "
    "rst-content documentwrapper ltx_document ltx_page_content ptx-content ptx-main main-body article-main "
    "article_text js_content artibody endtext topic_content htmledit_views article_content_text cke_editable "
    "single__contents article-detail detail-content detail_content text-detail"
)
_LIKELY_BODY_NAMES = words(
    "content main maincontent main-content main_content page-content page_content contents primary content-main "
    "content-body content-area contentarea article post entry story text hentry document docs-content doc-content body "
    "book-body book-page page-inner prose content-inner single"
)
# bodies of posts in the templates of forums and of questions and answers
POST_BODIES = words(
    "js-post-body post-text postcell-text t_f t_fsz postbody bbwrapper messagetext cooked post_body ipscomment_content "
    "ipstype_richtext cpost_contentwrap post-body-forum postcontent restore commtext toptext usertext-body "
    "cmty-post-html questionrichtext richcontent-inner question-detail qa-q-view-content qa-a-item-content "
    "d_post_content lzl_content_main reply_content topic_content reply-content message-content comment-copy "
    "post-message fmt userbody post_message postmessage messagecontent forum-post-body bbp-reply-content "
    "bbp-topic-content"
)
_POST_ID = re.compile(r"(?:^|\s)(?:post_?message|msg|post_message|p_content|postbody)[_-]?\d+(?:\s|$)", re.IGNORECASE)

_ROLES_DROPPED = words(
    "navigation banner contentinfo search complementary menu menubar menuitem toolbar dialog alertdialog tablist tree "
    "button tooltip progressbar"
)

_BOILERPLATE_HEADING = re.compile(
    r"(?:related|recommended|similar|popular|trending|latest|recent|more|other|top|most (?:read|popular|viewed))"
    r"(?: \w+){0,2} (?:posts?|articles?|stories|news|reading|links|topics|questions|threads|content|pages?|videos?)\b|"
    r"(?:people|readers) also |more (?:in|on|about|by) |read (?:more|next|also|this)|see also our|what(?:'|’)s next|"
    r"(?:related|recommended|share|comments?|tags?|categories|archives?)\W*$|(?:up|read) next|don(?:'|’)t miss|"
    r"in this (?:article|section)\W*$|(?:table of )?contents\W*$|on this page\W*$|navigation\W*$|"
    r"相关(?:链接|主题|内容|问题|报道)|推荐内容|延伸阅读|最新(?:评论|发布)|更多(?:文章|内容|精彩|推荐)|上一[篇页]|下一[篇页]|"
    r"(?:文章)?目录\W*$|评论\W*$|留言|分享|(?:热门)?标签\W*$|分类\W*$|今日推荐",
    re.IGNORECASE,
)
_CALL_HEADING = re.compile(
    r"related (?:posts?|articles?|stories|news|reading|content|videos?|topics|questions)|"
    r"recommended (?:for|posts?|articles?|stories|reading)|you (?:may|might) (?:also|be interested|like|enjoy)|"
    r"sign up (?:for|to|now|today)|subscribe(?: (?:now|today|to (?:our|the|this|my)\b.*))?\W*$|newsletter|follow us|"
    r"join (?:our|the) (?:newsletter|mailing|conversation|discussion|community)|share (?:this|on|via) |"
    r"(?:leave|post|add|write) a (?:comment|reply|review)|more (?:from|stories|news)|most (?:read|popular|viewed)|"
    r"trending|about the author|相关(?:文章|阅读|推荐|新闻|帖子|日志|资讯)|推荐(?:阅读|文章)|猜你喜欢|"
    r"[你您]可能(?:还|也|感)|"
    r"热门(?:文章|推荐|帖子)|最新文章|发表评论|大家都在看|精彩推荐|版权声明|打赏|赞赏",
    re.IGNORECASE,
)
_COMMENTS_HEADING = re.compile(
    r"(?:\d+|one|two|three|no) (?:comments?|thoughts?|responses?|replies|reply)\b|"
    r"(?:leave|post|add|write) a (?:comment|reply)|(?:reader|user|all) comments\b|"
    r"join the (?:conversation|discussion)|comments? \(\d+\)|"
    r"\d+\s*(?:条|个|则)?(?:评论|回复|留言)|(?:网友|全部|最新|热门|精彩|发表)评论|评论\s*[(（]\d+[)）]|文明上网",
    re.IGNORECASE,
)
_RIGHTS_LINE = re.compile(
    r"(?:copyright|©|\(c\)) |all rights reserved|comments are closed|subscribe (?:to|now|here)|sign (?:up|in) (?:for|"
    r"to|with)|"
    r"follow (?:us|me) |leave a (?:comment|reply)|share this|like this:|please enable javascript|"
    r"转载请|版权(?:声明|所有|归)|(?:本文|文章)(?:作者|链接|地址|标题|标签|由|最后(?:更新|编辑|修改))|"
    r"除(?:非)?特[别別]|"
    r"本(?:博客|站|文)(?:所有|中所有|采用|遵循|除)|未经(?:授权|许可|允许)|微信扫|扫(?:一扫|码)|关注(?:我们|公众号|"
    r"微信)|责任编辑",
    re.IGNORECASE,
)
_BUTTON_LINE = re.compile(
    r"(?:share (?:on|via|article)|tweet(?: this)?\W*$|loading\W*$|advertis(?:ement|ing)\W*$|sponsored\b|"
    r"continue reading|"
    r"read (?:more|next|also|full)\b|see also:|related:|more:|\d+ (?:comments?|replies|responses|views|shares|"
    r"likes)\W*$|"
    r"no comments|comments? \(|log in to|(?:posted|published|updated|last (?:updated|modified|edited)|submitted|"
    r"filed|tagged|"
    r"categori[sz]ed)\b|(?:written|photo(?:graph)?s?|images?) (?:by|courtesy)|by [^.]{3,40}$|tags?:|categor(?:y|ies):|"
    r"permalink\W*$|edit this|back to top|skip to|jump to|print(?: this)?(?: page)?\W*$|email(?: this)?\W*$|click here|"
    r"(?:previous|next|older|newer)(?: (?:post|article|page|story|entry|chapter|section|topic|thread))?\W*$|"
    r"[«»←→‹›<>|]|view (?:all|more)\b|show (?:more|all)\b|download (?:the )?(?:app|pdf)\W*$|was this (?:page|article)|"
    r"report (?:this|an? )|上一[篇页]|下一[篇页]|上一主题|下一主题|编辑[:：]|作者[:：]|来源[:：]|发布(?:于|时间|"
    r"日期)|更新(?:于|时间)|"
    r"分享(?:到|至)|打赏|赞赏|点击(?:查看|进入|这里|阅读)|阅读(?:全文|更多|原文|数|量)|查看(?:全文|更多|原文)|登录|"
    r"注册|回复\W*$|"
    r"举报\W*$|收藏\W*$|点赞|评论\W*\d*$|浏览|字数|标签[:：]|分类[:：]|关键[词字][:：]|赞\W*\d*\W*$|"
    r"(?:原文)?链接[:：])",
    re.IGNORECASE,
)
_DATE = re.compile(
    r"\b(?:19|20)\d\d\s*[-/.年]\s*\d{1,2}|\b\d{1,2}[-/.]\d{1,2}[-/.](?:19|20)\d\d|\b\d{1,2}:\d\d\b|"
    r"\b(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]{0,6}\.? \d{1,2}\b|\b\d{1,2}\.? "
    r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]{0,6}\b|\d+ ?min(?:ute)?s? read|"
    r"\b\d+ (?:hours?|days?|weeks?|months?|years?) ago\b|阅读\s*\d+|\d+\s*(?:浏览|阅读|评论)",
    re.IGNORECASE,
)
_SENTENCE_END = re.compile(r"[.。!！?？:：;；,，]\s*$")
MAX_BUTTON = 30  # characters of a button that ends like a sentence
SMALL_PRINT = (
    "copyright all_rights_reserved privacy_policy privacy_notice terms_of_use terms_of_service terms_and_conditions "
    "newsletter unsubscribe use_cookies uses_cookies powered_by registered_in registered_office registered_charity "
    "use_of_this_site use_of_this_website © 版权所有 版权归 许可证 icp备 icp证 公网安备 免责声明 未经授权 未经许可 "
    "未经允许 未经本 举报电话 "
    "联系我们 加载中"
)
_REFERENCES = re.compile(
    r"[\d.\s§]*(?:normative |informative |external |selected |useful )?(?:references?|bibliograph|see also|links|"
    r"further reading|"
    r"sources|notes|literature|resources|works cited|index|glossary|参考|引用|外部链接|文献|资料|注释)",
    re.IGNORECASE,
)
MAX_SMALL_PRINT = 600
MAX_BOILERPLATE_LINE = 180  # weight, UTF-8 bytes; what goes on longer is prose that begins with such a word


def of_names(names: str) -> int:
    """The flags of an element's class and id, as `"class id"`."""
    names = names[:MAX_NAMES]
    flags = POST if _POST_ID.search(names) else 0
    for name in names.split():
        flags |= _of_name(name)
    return flags


@lru_cache(maxsize=1 << 15)
def _of_name(name: str) -> int:
    lower = name.lower()
    parts = [part.lower() for part in _PART.findall(name)]
    flags = DROP if lower.startswith(("widget-", "widget_")) or lower == "widget" else 0  # not elementor-widget-…
    if lower in POST_BODIES:
        flags |= POST
    if lower in _BODY_NAMES:
        flags |= BODY
    elif lower in _LIKELY_BODY_NAMES:
        flags |= LIKELY_BODY
    if lower in _FURNITURE_NAMES or not _FURNITURE_PARTS.isdisjoint(parts):
        flags |= FURNITURE
    if not _COMMENT_PARTS.isdisjoint(parts):
        flags |= COMMENTS
    if lower in _DROP_NAMES or (not _DROP_PARTS.isdisjoint(parts) and not _says_it_has_one(parts)):
        flags |= DROP
    return flags


def _says_it_has_one(parts: list[str]) -> bool:
    """Whether a name speaks of the whole, as in `has-sidebar`, `no-sidebar`, `content-with-toc`, `sidebar-open`."""
    return not {
        "has",
        "no",
        "with",
        "without",
        "open",
        "closed",
        "enabled",
        "disabled",
        "layout",
        "none",
        "hide",
    }.isdisjoint(parts)


def role_is_chrome(role: str | None) -> bool:
    """Whether an ARIA role says that the element is no content."""
    return role is not None and role.strip().lower() in _ROLES_DROPPED


def announces_references(text: str) -> bool:
    """Whether a text begins as a list of references does: links there are the author's."""
    return _REFERENCES.match(text) is not None


def small_print_places(text: str) -> list[int]:
    """Where a text speaks of rights, cookies, letters to subscribe to: what stands at the edges of a page.

    One search for each phrase, which is many times quicker than a pattern of them all.
    """
    lower, places = text.lower(), []
    for phrase in SMALL_PRINT.split():
        wanted = phrase.replace("_", " ")
        at = lower.find(wanted)
        while at >= 0:
            places.append(at)
            at = lower.find(wanted, at + 1)
    return places


@lru_cache(maxsize=1 << 12)
def heading_is_boilerplate(text: str) -> bool:
    """Whether a heading announces other pages or calls for something ("Related posts", 相关文章)."""
    return heading_calls(text) or _BOILERPLATE_HEADING.match(text) is not None


@lru_cache(maxsize=1 << 12)
def heading_calls(text: str) -> bool:
    """Whether a heading can stand above nothing but chrome, so that its box goes although it holds sentences."""
    return _CALL_HEADING.match(text) is not None


def heading_opens_comments(text: str) -> bool:
    """Whether what follows a heading is what readers wrote ("3 thoughts on", 网友评论)."""
    return _COMMENTS_HEADING.match(text) is not None


@lru_cache(maxsize=1 << 12)
def line_is_boilerplate(text: str) -> bool:
    """Whether a short line is a button or a word about the page ("Share this", "Posted by", 责任编辑)."""
    if _RIGHTS_LINE.match(text):
        return True
    sentence = len(text) > MAX_BUTTON and _SENTENCE_END.search(text)
    return not sentence and _BUTTON_LINE.match(text) is not None


def line_is_date(text: str) -> bool:
    """Whether a line is not a sentence and tells when something was written, as above an article."""
    return not _SENTENCE_END.search(text) and _DATE.search(text) is not None
